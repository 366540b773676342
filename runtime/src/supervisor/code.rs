//! From a topology to what makes its instances, tried once.

use std::sync::Arc;

use super::{Error, Topics};
use crate::{
    clock::Clock,
    guest::{Capability, Component, Fault, Instance, InstanceSettings, Instantiate, Invoke},
    topology::{FunctionNode, Node, Topology},
    worker::Code,
};

/// Makes instances of one node's function.
struct Factory {
    component: Component,
    settings: InstanceSettings,
}

impl Instantiate for Factory {
    fn instantiate(&self) -> Result<Box<dyn Invoke>, Fault> {
        Ok(Box::new(Instance::new(&self.component, &self.settings)?))
    }
}

/// Makes one instance of every function, so that a configuration it refuses is known before anything runs.
pub(crate) fn prepare(
    topology: &Arc<Topology>,
    clock: &Arc<dyn Clock>,
    topics: &Topics,
) -> Result<Code, Error> {
    let mut factories: Vec<Vec<Option<Arc<dyn Instantiate>>>> = Vec::new();
    for part in &topology.parts {
        let mut nodes: Vec<Option<Arc<dyn Instantiate>>> = Vec::new();
        for node in &part.nodes {
            let Some(function) = node.function() else {
                nodes.push(None);
                continue;
            };
            let factory = factory(node, function, clock);
            let failed = |fault| Error::Function { function: node.name.to_string(), fault };
            factory.instantiate().map_err(failed)?;
            nodes.push(Some(Arc::new(factory)));
        }
        factories.push(nodes);
    }
    let Topics { record_bytes_max, stores } = topics.clone();
    Ok(Code { topology: Arc::clone(topology), factories, record_bytes_max, stores })
}

fn factory(node: &Node, function: &FunctionNode, clock: &Arc<dyn Clock>) -> Factory {
    let settings = InstanceSettings {
        name: Arc::clone(&node.name),
        index: function.index,
        config: Arc::clone(&function.config),
        limits: function.limits,
        clock: function.allow.contains(&Capability::Clock).then(|| Arc::clone(clock)),
        random: function.allow.contains(&Capability::Random),
    };
    Factory { component: function.component.clone(), settings }
}
