//! A node of any kind at work in one task.

use std::{ops::ControlFlow, time::Instant};

use bytesize::ByteSize;
use tidemill_layout::{HeaderPart, Part};

use super::{
    Aggregate, Arrival, Cost, Due, Function, Host, Join, OutputCheck, Passing, Project, Reason,
    Rekey, Sent,
};
use crate::{
    guest::Scope,
    store,
    topology::{Node, SubTopology, Work},
};

/// What a node does.
pub enum Operator {
    /// A function of the user's.
    Function(Function),
    /// Something the host does itself.
    Host(Hosted),
}

impl Operator {
    /// What it cost since this was last asked.
    pub fn take_cost(&mut self) -> Cost {
        match self {
            Operator::Function(function) => function.take_cost(),
            Operator::Host(hosted) => std::mem::take(&mut hosted.cost),
        }
    }

    /// The next call of a function goes to a fresh instance.
    pub fn renew(&mut self) {
        if let Operator::Function(function) = self {
            function.renew();
        }
    }

    /// The operator of the host that it is, where it is one.
    pub fn host(&self) -> Option<&dyn Host> {
        match self {
            Operator::Function(_) => None,
            Operator::Host(hosted) => Some(&*hosted.host),
        }
    }

    /// The operator of the host that it is, where it is one.
    pub fn host_mut(&mut self) -> Option<&mut dyn Host> {
        match self {
            Operator::Function(_) => None,
            Operator::Host(hosted) => Some(&mut *hosted.host),
        }
    }
}

/// An operator of the host, with what its outputs take. The time it takes is its cost; a visit is an invocation.
pub struct Hosted {
    host: Box<dyn Host>,
    outputs: Vec<OutputCheck>,
    cost: Cost,
}

/// What a node that is no function does for a task, from its beginning.
///
/// # Panics
/// Where it is a function.
pub fn host(node: &Node, part: &SubTopology) -> Box<dyn Host> {
    match &node.work {
        Work::Function(_) => panic!("`{}` is a function", node.name),
        Work::Join(join) => Box::new(Join::new(join)),
        Work::Rekey(rekey) => Box::new(Rekey::new(rekey)),
        Work::Filter(filter) => Box::new(Passing::new(filter)),
        Work::Project(project) => Box::new(Project::new(project)),
        Work::Aggregate(aggregate) => Box::new(Aggregate::new(aggregate, &node.outputs, part)),
    }
}

/// Where what is handed on goes, once it is known to fit; `Break` stops the operator.
pub type Sink<'a> = dyn FnMut(Sent<'_>) -> ControlFlow<()> + 'a;

/// Why an operator stopped, and whether that is a closing result's doing.
#[derive(Debug)]
pub struct Stopped {
    /// Why.
    pub reason: Reason,
    /// Set where a result that came out since time went on does not fit.
    pub closing: bool,
}

impl From<Reason> for Stopped {
    fn from(reason: Reason) -> Self {
        Stopped { reason, closing: false }
    }
}

impl Hosted {
    /// Outputs are numbered as given.
    pub fn new(host: Box<dyn Host>, outputs: Vec<OutputCheck>) -> Self {
        Hosted { host, outputs, cost: Cost::default() }
    }

    /// What is about to be taken.
    ///
    /// # Errors
    /// What the disk says.
    pub fn prefetch(
        &mut self,
        arrivals: &[Arrival<'_>],
        scope: &mut Scope,
    ) -> Result<(), store::Error> {
        self.host.prefetch(arrivals, scope)
    }

    /// Takes a record.
    ///
    /// # Errors
    /// Why it, or what comes of it, cannot be handled.
    pub fn take(
        &mut self,
        arrival: &Arrival<'_>,
        scope: &mut Scope,
        sink: &mut Sink<'_>,
    ) -> Result<(), Stopped> {
        let Hosted { host, outputs, .. } = self;
        checked(outputs, sink, |out| host.take(arrival, scope, out))
    }

    /// Sends a result that was due.
    ///
    /// # Errors
    /// Why it cannot be sent.
    pub fn fire(
        &mut self,
        row: u32,
        due: &Due,
        scope: &mut Scope,
        sink: &mut Sink<'_>,
    ) -> Result<(), Stopped> {
        let Hosted { host, outputs, .. } = self;
        checked(outputs, sink, |out| host.fire(row, due, scope, out))
    }

    /// What functions did to its store. Answers the row that a failure is known to be of, with it.
    ///
    /// # Errors
    /// Why a row cannot be handled.
    pub fn collect(
        &mut self,
        scope: &mut Scope,
        sink: &mut dyn FnMut(u32, Sent<'_>) -> ControlFlow<()>,
    ) -> Result<(), (Option<u32>, Stopped)> {
        let Hosted { host, outputs, .. } = self;
        let mut large = None;
        let collected = host.collect(scope, &mut |row, sent| match too_large(outputs, &sent) {
            Some(reason) => {
                large = Some((Some(row), Stopped { reason, closing: sent.closing }));
                ControlFlow::Break(())
            }
            None => sink(row, sent),
        });
        match (large, collected) {
            (Some(large), _) => Err(large),
            (None, collected) => collected.map_err(|reason| (None, reason.into())),
        }
    }

    /// Counts a visit that began then.
    pub fn visited(&mut self, begun: Instant) {
        self.cost.invocations += 1;
        self.cost.guest += begun.elapsed();
    }
}

/// Lets an operator send what fits, and stops it at what does not.
fn checked(
    outputs: &[OutputCheck],
    sink: &mut Sink<'_>,
    work: impl FnOnce(&mut super::Out<'_>) -> Result<(), Reason>,
) -> Result<(), Stopped> {
    let mut large = None;
    let worked = work(&mut |sent| match too_large(outputs, &sent) {
        Some(reason) => {
            large = Some(Stopped { reason, closing: sent.closing });
            ControlFlow::Break(())
        }
        None => sink(sent),
    });
    match large {
        Some(large) => Err(large),
        None => worked.map_err(Stopped::from),
    }
}

fn too_large(outputs: &[OutputCheck], sent: &Sent<'_>) -> Option<Reason> {
    let part = |part: &Part<'_>| match part {
        Part::Bytes(bytes) => bytes.len(),
        Part::Inherit | Part::Null => 0,
    };
    let headers = match sent.headers {
        HeaderPart::Replace(headers) => headers.bytes().len(),
        HeaderPart::Inherit => 0,
    };
    let bytes = part(&sent.key) + part(&sent.value) + headers;
    let output = &outputs[usize::from(sent.output)];
    (bytes > output.bytes_max).then(|| {
        let size = |bytes: usize| ByteSize(bytes as u64).display().iec();
        Reason::Reject(format!(
            "a record for its output `{}` has {} and the topic takes {}",
            output.name,
            size(bytes),
            size(output.bytes_max)
        ))
    })
}
