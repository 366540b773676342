//! What a worker runs.

use std::sync::Arc;

use crate::{
    guest::Instantiate,
    operator::{Function, OutputCheck},
    topology::{Node, Output, StoreTopic, Topology},
};

/// A topology and what makes its functions' instances.
#[derive(Clone)]
pub struct Code {
    /// The graph.
    pub topology: Arc<Topology>,
    /// By part and node.
    pub factories: Vec<Vec<Arc<dyn Instantiate>>>,
    /// The largest record each output topic takes, in bytes of key, value and headers.
    pub record_bytes_max: Vec<usize>,
    /// What holds state, by part and store.
    pub stores: Vec<Vec<StoreTopic>>,
}

impl Code {
    /// Over how many partitions the keys of a part's stores are spread; 0 where it has none of its own.
    pub(super) fn partitions(&self, part: usize) -> u32 {
        let stores = self.topology.parts[part].stores.iter().zip(&self.stores[part]);
        let own = stores.filter(|(spec, _)| !spec.broadcast).map(|(_, topic)| topic.partitions);
        own.max().unwrap_or(0)
    }

    /// Fresh operators for a task of a part.
    pub(super) fn operators(&self, part: usize) -> Vec<Function> {
        let nodes = self.topology.parts[part].nodes.iter().zip(&self.factories[part]);
        let operator = |(node, factory): (&Node, &Arc<dyn Instantiate>)| {
            let check = |output: &Output| OutputCheck {
                name: Arc::clone(&output.name),
                bytes_max: match output.topic {
                    Some(topic) => node.limits.output_bytes.min(self.record_bytes_max[topic]),
                    None => node.limits.output_bytes,
                },
            };
            Function::new(Arc::clone(factory), node.outputs.iter().map(check).collect())
        };
        nodes.map(operator).collect()
    }
}
