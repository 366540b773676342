//! What a worker runs.

use std::sync::Arc;

use crate::{
    guest::Instantiate,
    operator::{Function, Hosted, Operator, OutputCheck, host},
    topology::{Node, Output, StoreTopic, Topology},
};

/// A topology and what makes its functions' instances.
#[derive(Clone)]
pub struct Code {
    /// The graph.
    pub topology: Arc<Topology>,
    /// By part and node; nothing for what is no function.
    pub factories: Vec<Vec<Option<Arc<dyn Instantiate>>>>,
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
    pub(super) fn operators(&self, part: usize) -> Vec<Operator> {
        let part_of = &self.topology.parts[part];
        let nodes = part_of.nodes.iter().zip(&self.factories[part]);
        let operator = |(node, factory): (&Node, &Option<Arc<dyn Instantiate>>)| {
            let bytes_max =
                node.function().map_or(usize::MAX, |function| function.limits.output_bytes);
            let check = |output: &Output| OutputCheck {
                name: Arc::clone(&output.name),
                bytes_max: match output.topic {
                    Some(topic) => bytes_max.min(self.record_bytes_max[topic]),
                    None => bytes_max,
                },
            };
            let outputs = node.outputs.iter().map(check).collect();
            match factory {
                Some(factory) => Operator::Function(Function::new(Arc::clone(factory), outputs)),
                None => Operator::Host(Hosted::new(host(node, part_of), outputs)),
            }
        };
        nodes.map(operator).collect()
    }
}
