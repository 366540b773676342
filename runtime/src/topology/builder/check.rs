//! What is wrong in a graph: all of it.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_aggregates::Type;

use super::{
    Builder, Element, Flow, FlowShape, Problem, SIDES_MAX, What, cut,
    names::{code, is_topic},
    shapes::{a_join, a_kind, accepts, code_for, reads},
    steps::{Aggregate, Function, Join, Joined, Projection, Rekey, Side, Source, Step, Stream},
    store_kind,
};
use crate::{
    guest::{Role, Shape, Slot},
    topology::{Expr, Format, JoinKind, KeyFrom, Layout, changelog_topic, meta_topic, way_back},
};

/// All problems, in the order of the steps.
pub(super) fn problems(builder: &Builder) -> Vec<Problem> {
    let mut check = Check { builder, problems: Vec::new() };
    check.names();
    for at in 0..builder.elements.len() {
        check.element(at);
    }
    for (stream, topic) in &builder.sinks {
        check.sink(*stream, topic);
    }
    check.topics();
    check.cycles();
    check.problems
}

struct Check<'b> {
    builder: &'b Builder,
    problems: Vec<Problem>,
}

impl<'b> Check<'b> {
    fn at(
        &mut self,
        step: &Step,
        part: &'static str,
        found: impl Into<String>,
        right: impl Into<String>,
    ) {
        self.problem(step.what(), step.name(), part, found, right);
    }

    fn problem(
        &mut self,
        what: What,
        name: &str,
        part: &'static str,
        found: impl Into<String>,
        right: impl Into<String>,
    ) {
        let problem =
            Problem { what, name: name.to_owned(), part, found: found.into(), right: right.into() };
        self.problems.push(problem);
    }

    /// Each step has a name of its own, and so has each store and table.
    fn names(&mut self) {
        let mut taken: BTreeMap<String, What> = BTreeMap::new();
        for element in &self.builder.elements {
            if matches!(element.step, Step::Source(_)) {
                continue;
            }
            let name = code(element.step.name());
            if let Some(other) = taken.insert(name, element.step.what()) {
                let found = format!("a {other} has the same name");
                self.at(&element.step, "", found, "give it a name of its own");
            }
        }
        let mut tables = BTreeSet::new();
        for table in &self.builder.tables {
            if !tables.insert(code(&table.name)) {
                let found = "another table has the same name";
                self.problem(What::Table, &table.name, "", found, "give it a name of its own");
            }
        }
    }

    fn element(&mut self, at: usize) {
        let element = &self.builder.elements[at];
        match &element.step {
            Step::Source(source) => self.source(&element.step, source),
            Step::Function(function) => self.function(element, function),
            Step::Join(join) => self.join(element, join),
            Step::Aggregate(aggregate) => self.aggregate(at, aggregate),
            Step::Rekey(rekey, _) => self.rekey(element, rekey),
            Step::Filter { predicate, .. } => {
                if let Some(expr) = predicate {
                    self.predicate(&element.step, "where", element.inputs[0].1, expr);
                }
            }
            Step::Project(projection) => self.project(element, projection),
        }
    }

    fn source(&mut self, step: &Step, source: &Source) {
        if !source.agrees {
            let found = "it is read with different formats, columns or times";
            self.at(step, "", found, "declare it once");
        }
        if let (Some(columns), Some(format)) = (&source.columns, source.value)
            && format != Format::Json
            && (columns.len() != 1 || columns[0].0 != super::super::format::VALUE)
        {
            let found = format!("its values are {format} and have {} columns", columns.len());
            self.at(step, "columns", found, "such values have one column, `value`");
        }
    }

    /// Whether an expression can be asked of a stream.
    fn predicate(&mut self, step: &Step, part: &'static str, stream: Stream, expr: &Expr) {
        self.columns(step, part, stream, &expr.columns());
        if let Err(why) = expr.check_truth(self.builder.flow(stream).columns.as_deref()) {
            self.at(step, part, why, "correct the expression");
        }
    }

    /// Whether these columns can be read of a stream.
    fn columns(&mut self, step: &Step, part: &'static str, stream: Stream, names: &[String]) {
        let flow = self.builder.flow(stream);
        match &flow.value {
            None if !names.is_empty() => {
                let found =
                    format!("it reads the column `{}` of values in no known format", names[0]);
                self.at(step, part, found, "declare the format of the topic they come from");
            }
            Some(layout) => {
                for name in names.iter().filter(|name| !layout.may_have(name)) {
                    let right = match layout {
                        Layout::Sides(..) => {
                            "columns of a joined row begin with `left.` or `right.`"
                        }
                        Layout::One(_) => "it has one column, `value`",
                    };
                    let found = format!("a {} value has no column `{name}`", layout.format());
                    self.at(step, part, found, right);
                }
            }
            None => {}
        }
    }

    /// Keyed work needs records in the partition of their key.
    fn keyed(&mut self, step: &Step, part: &'static str, stream: Stream) {
        if self.builder.flow(stream).rekeyed {
            let from = self.builder.flow(stream).element;
            let found = format!(
                "records of `{}` have new keys, so they may be in another partition than their key belongs to",
                self.builder.elements[from].step.name()
            );
            let right = "send them through a topic or a rekey first";
            self.at(step, part, found, right);
        }
    }

    fn function(&mut self, element: &Element, function: &Function) {
        let step = &element.step;
        for (source, stream) in &function.inputs {
            self.shape(step, function, *source, self.builder.flow(*stream));
        }
        if let Some(expr) = &function.filter {
            for (_, stream) in &function.inputs {
                self.predicate(step, "where", *stream, expr);
            }
            let mut layouts =
                function.inputs.iter().map(|(_, stream)| &self.builder.flow(*stream).value);
            let first = layouts.next();
            if layouts.any(|layout| Some(layout) != first) {
                let found = "its inputs are in different formats";
                self.at(step, "where", found, "filter each before it goes in");
            }
        }
        for slot in function.slots() {
            self.slot(step, slot);
        }
    }

    fn slot(&mut self, step: &Step, slot: &Slot) {
        let name = &slot.name;
        let aggregate = self.builder.aggregate_named(name);
        if let Some(kind) = store_kind(slot.role) {
            if aggregate.is_some() {
                let found =
                    format!("it has {kind:?} `{name}`, which is an aggregate").to_lowercase();
                self.at(step, "stores", found, "take another name");
            }
        } else if slot.role == Role::Aggregate {
            match aggregate {
                None => {
                    let found = format!("it feeds `{name}`, and there is no such aggregate");
                    self.at(step, "stores", found, "declare it");
                }
                Some((_, aggregate)) => self.fed(step, slot, aggregate),
            }
        } else if slot.role == Role::Table && self.builder.table_named(name).is_none() {
            let found = format!("it looks into `{name}`, and there is no such table");
            self.at(step, "tables", found, "declare it");
        }
    }

    /// What code reads of an aggregate is there.
    fn fed(&mut self, step: &Step, slot: &Slot, aggregate: &Aggregate) {
        if aggregate.from.is_some() {
            let found = format!("it feeds `{}`, which records of a stream feed", slot.name);
            self.at(step, "stores", found, "let one of them feed it, or take two stores");
        }
        let compute = &aggregate.spec.compute;
        let types = compute.check(&vec![Type::Any; compute.arguments().len()]).unwrap_or_default();
        let known: Vec<&str> = compute.columns().map(|(name, _)| name).collect();
        for column in &slot.columns {
            let Some(at) = known.iter().position(|name| *name == column.name) else {
                let found = format!("the code reads `{}`, which is not computed", column.name);
                let right = format!("compute has {}", known.join(", "));
                self.problem(What::Store, &aggregate.name, "compute", found, right);
                continue;
            };
            let computed = types.get(at).unwrap_or(&Type::Any);
            if !reads(&column.value, computed) {
                let found = format!(
                    "the code reads `{}` as {}, and it is computed as {computed}",
                    column.name, column.value
                );
                let right = "let both say the same";
                self.problem(What::Store, &aggregate.name, "compute", found, right);
            }
        }
    }

    /// A function takes what its input is.
    fn shape(&mut self, step: &Step, function: &Function, source: u16, flow: &Flow) {
        let description = function.component.descriptions().get(function.index as usize);
        let source = description.and_then(|it| it.sources.get(usize::from(source)));
        let Some(source) = source else { return };
        let from = self.builder.elements[flow.element].step.name().to_owned();
        let (found, right) = match (source.shape, flow.shape) {
            (Shape::Plain, FlowShape::Records) | (Shape::Windowed, FlowShape::Windowed) => {
                let value = flow.value.as_ref().map(Layout::format);
                if let (Some(has), Some(wants)) = (value, Format::of_codec(&source.value))
                    && !has.reads_as(wants)
                {
                    let found = format!(
                        "the code takes {} values, and those of `{from}` are {has}",
                        source.value
                    );
                    self.at(step, "inputs", found, "take them as what they are");
                }
                return;
            }
            (shape, FlowShape::Joined(kind)) if accepts(shape).contains(&kind) => return,
            (Shape::Plain, FlowShape::Windowed) => (
                format!("the code takes plain records, and `{from}` gives results of windows"),
                "take `Windowed<…>` in the code",
            ),
            (Shape::Plain, FlowShape::Joined(kind)) => (
                format!("the code takes plain records, and `{from}` gives rows of a join"),
                code_for(kind),
            ),
            (Shape::Windowed, _) => (
                format!("the code takes results of windows, and `{from}` gives none"),
                "name an aggregate store with windows as the input",
            ),
            (shape, FlowShape::Joined(kind)) => (
                format!(
                    "the code takes rows of {}, and `{from}` is {}",
                    a_join(shape),
                    a_kind(kind)
                ),
                code_for(kind),
            ),
            (shape, _) => (
                format!("the code takes rows of {}, and `{from}` is no join", a_join(shape)),
                "name a join as the input",
            ),
        };
        self.at(step, "inputs", found, right);
    }

    fn join(&mut self, element: &Element, join: &Join) {
        let step = &element.step;
        if self.builder.flow(element.flows[0]).value == Some(Layout::One(Format::Joined)) {
            let found = format!("its rows would be of more than {SIDES_MAX} sides");
            self.at(step, "", found, "project what is wanted of the joins before it");
        }
        let outer_right = matches!(join.kind, JoinKind::Right | JoinKind::Full);
        match (&join.joined, join.left, join.right) {
            (Joined::Table | Joined::Broadcast(_), Side::Stream(left), Side::Table(right)) => {
                if outer_right {
                    let found = "a row of the table without a record gives nothing";
                    self.at(step, "kind", found, "with a table on the right it is inner or left");
                }
                let table = &self.builder.tables[right.0];
                let by_key = matches!(join.joined, Joined::Table);
                if by_key {
                    self.keyed(step, "left", left);
                }
                if by_key && table.broadcast {
                    let found = format!("the table `{}` is on every host", table.name);
                    self.at(step, "right", found, "join it as a broadcast table");
                }
                if !by_key && !table.broadcast {
                    let found = format!("the table `{}` is not on every host", table.name);
                    self.at(
                        step,
                        "right",
                        found,
                        "declare it as broadcast, or join by the record's key",
                    );
                }
                if let Joined::Broadcast(key) = &join.joined {
                    self.key(step, "key", left, key);
                }
            }
            (Joined::Streams { .. }, Side::Stream(left), Side::Stream(right)) => {
                for (part, stream) in [("left", left), ("right", right)] {
                    self.keyed(step, part, stream);
                    self.unwindowed(step, part, stream);
                }
                self.same_keys(step, left, right);
            }
            (Joined::Tables, _, _) => {
                for (part, side) in [("left", join.left), ("right", join.right)] {
                    self.table_side(step, part, side);
                }
                if let [(_, left), (_, right)] = element.inputs[..] {
                    self.same_keys(step, left, right);
                }
            }
            _ => {
                let found = "its sides are not what it joins";
                self.at(
                    step,
                    "",
                    found,
                    "the left side of a lookup is a stream, the right one a table",
                );
            }
        }
    }

    fn table_side(&mut self, step: &Step, part: &'static str, side: Side) {
        match side {
            Side::Table(table) => {
                let table = &self.builder.tables[table.0];
                if table.broadcast {
                    let found = format!(
                        "the table `{}` is on every host, and its changes would be joined on each",
                        table.name
                    );
                    self.at(step, part, found, "take a table that is cut into partitions");
                }
            }
            Side::Stream(stream) => {
                let from = &self.builder.elements[self.builder.flow(stream).element].step;
                let rows = matches!(from, Step::Join(join) if join.joined == Joined::Tables);
                if !rows {
                    let found = format!("`{}` is no table", from.name());
                    self.at(step, part, found, "take a table, or the join of two tables");
                }
            }
        }
    }

    fn unwindowed(&mut self, step: &Step, part: &'static str, stream: Stream) {
        let flow = self.builder.flow(stream);
        if flow.shape == FlowShape::Windowed {
            let from = self.builder.elements[flow.element].step.name();
            let found = format!("`{from}` gives results of windows, of which a key has several");
            self.at(step, part, found, "join what is aggregated before it is");
        }
    }

    fn same_keys(&mut self, step: &Step, left: Stream, right: Stream) {
        let (left, right) = (self.builder.flow(left).key, self.builder.flow(right).key);
        if let (Some(left), Some(right)) = (left, right)
            && left != right
            && !(left.reads_as(right) && right.reads_as(left))
        {
            let found =
                format!("keys of the left side are {left} and those of the right side {right}");
            self.at(step, "right", found, "equal keys must be equal bytes: rekey one of them");
        }
    }

    fn key(&mut self, step: &Step, part: &'static str, stream: Stream, key: &KeyFrom) {
        let KeyFrom::Column { format, name } = key else { return };
        let flow = self.builder.flow(stream);
        if *format == Format::Joined || matches!(flow.value, Some(Layout::Sides(..))) {
            let found = "a row of a join has no columns of its own";
            self.at(step, part, found, "project what is wanted of it first");
            return;
        }
        self.columns(step, part, stream, std::slice::from_ref(name));
        if let Some(columns) = &flow.columns
            && let Err(why) = Expr::column(name).check(Some(columns))
        {
            self.at(step, part, why, "name one of them");
        }
    }

    fn aggregate(&mut self, at: usize, aggregate: &Aggregate) {
        let step = &self.builder.elements[at].step;
        let compute = &aggregate.spec.compute;
        if let Some(from) = aggregate.from {
            self.keyed(step, "from", from);
            self.unwindowed(step, "from", from);
            self.columns(step, "compute", from, compute.arguments());
            if let Some(Layout::Sides(..)) = self.builder.flow(from).value
                && !compute.arguments().is_empty()
            {
                let found = "a row of a join has no columns of its own";
                self.at(step, "from", found, "project what is wanted of it first");
            }
            if let Some(expr) = &aggregate.filter {
                self.predicate(step, "where", from, expr);
            }
            self.argument_types(step, aggregate, from);
        } else if self.feeders(&code(&aggregate.name)) == 0 {
            let found = "nothing feeds it";
            self.at(step, "from", found, "name what feeds it, or feed it in a function");
        } else if aggregate.filter.is_some() {
            let found = "a function feeds it";
            self.at(step, "where", found, "let the function choose");
        }
        let columns = compute.columns().count();
        if aggregate.value == Format::Joined || (aggregate.value != Format::Json && columns != 1) {
            let found = format!("{columns} columns cannot be written as {}", aggregate.value);
            self.at(step, "format", found, "json has all columns, other formats are one");
        }
        let late = cut::late(self.builder, at);
        if late.len() > 1 {
            let found = format!("records that are late for it would go to {}", late.join(" and "));
            self.at(step, "from", found, "give its input topics one late topic");
        }
    }

    fn argument_types(&mut self, step: &Step, aggregate: &Aggregate, from: Stream) {
        let Some(columns) = &self.builder.flow(from).columns else { return };
        let compute = &aggregate.spec.compute;
        let mut types = Vec::new();
        for name in compute.arguments() {
            match Expr::column(name).check(Some(columns)) {
                Ok(of) => types.push(of),
                Err(why) => return self.at(step, "compute", why, "name one of them"),
            }
        }
        if let Err(why) = compute.check(&types) {
            self.at(step, "compute", why.to_string(), "take a column of another type");
        }
    }

    fn feeders(&self, store: &str) -> usize {
        let feeds = |element: &&Element| match &element.step {
            Step::Function(function) => {
                function.slots().any(|slot| slot.role == Role::Aggregate && slot.name == store)
            }
            _ => false,
        };
        self.builder.elements.iter().filter(feeds).count()
    }

    fn rekey(&mut self, element: &Element, rekey: &Rekey) {
        let step = &element.step;
        let input = element.inputs[0].1;
        self.key(step, "by", input, &rekey.by);
        if rekey.by == KeyFrom::Key && !self.builder.flow(input).rekeyed {
            let found = "its input has the same keys already";
            self.at(step, "by", found, "say where the new key is");
        }
        if let Some(Layout::Sides(..)) = self.builder.flow(input).value {
            let found = "a row of a join cannot be written to a topic";
            self.at(step, "input", found, "project what is wanted of it first");
        }
    }

    fn project(&mut self, element: &Element, projection: &Projection) {
        let step = &element.step;
        let input = element.inputs[0].1;
        let count = projection.columns.len();
        let one = projection.value != Format::Json;
        if count == 0 || (one && count != 1) || projection.value == Format::Joined {
            let found = format!("{count} columns cannot be written as {}", projection.value);
            self.at(step, "columns", found, "json has all columns, other formats are one");
        }
        for (_, expr) in &projection.columns {
            self.columns(step, "columns", input, &expr.columns());
            if let Err(why) = expr.check(self.builder.flow(input).columns.as_deref()) {
                self.at(step, "columns", why, "correct the expression");
            }
        }
    }

    fn sink(&mut self, stream: Stream, topic: &str) {
        let flow = self.builder.flow(stream);
        if let FlowShape::Joined(_) = flow.shape {
            let step = &self.builder.elements[flow.element].step;
            let found = "a row of a join cannot be written to a topic";
            self.at(step, "output", found, "project what is wanted of it first");
        }
        if !is_topic(topic) {
            self.problem(What::Topic, topic, "", "no topic has such a name", "take another one");
        }
    }

    /// Topics that are the app's own are nobody else's.
    fn topics(&mut self) {
        let app = &*self.builder.app;
        let mut own: BTreeSet<String> = BTreeSet::new();
        let mut rekeys: BTreeMap<&str, &Step> = BTreeMap::new();
        for element in &self.builder.elements {
            for store in cut::written(&element.step) {
                own.insert(changelog_topic(app, &store));
            }
            own.insert(meta_topic(app, &code(element.step.name())));
        }
        for element in &self.builder.elements {
            let Step::Rekey(_, topic) = &element.step else { continue };
            let name = element.step.name();
            if !is_topic(topic) {
                let found = format!("its topic would be `{topic}`");
                self.at(
                    &element.step,
                    "topic",
                    found,
                    "no topic has such a name: take another one",
                );
            }
            if let Some(other) = rekeys.insert(topic, &element.step) {
                let found = format!("its topic is that of `{}`", other.name());
                self.at(&element.step, "topic", found, "give each a topic of its own");
            }
            let written = self.builder.sinks.iter().any(|(_, sink)| sink == topic);
            let declared = self.builder.elements.iter().any(|element| match &element.step {
                Step::Source(source) => source.topic == *topic && source.repartition.is_none(),
                _ => false,
            });
            if written || declared || own.contains(&**topic) {
                let found = format!("its topic `{topic}` is used otherwise too");
                let right = format!("only what `{name}` writes may be in it: take another topic");
                self.at(&element.step, "topic", found, right);
            }
        }
        let read = self.builder.elements.iter().filter_map(|element| match &element.step {
            Step::Source(source) => Some(&source.topic),
            _ => None,
        });
        let sinks = self.builder.sinks.iter().map(|(_, topic)| topic);
        let used: BTreeSet<&str> = read.chain(sinks).map(|topic| &**topic).collect();
        for topic in used.into_iter().filter(|topic| own.contains(*topic)) {
            let found = "it holds state of the app";
            self.problem(What::Topic, topic, "", found, "only the app's stores may use it");
        }
    }

    /// No record comes back to a step that it went through, over topics.
    fn cycles(&mut self) {
        let mut reported: BTreeSet<BTreeSet<usize>> = BTreeSet::new();
        let behind: Vec<Vec<usize>> =
            (0..self.builder.elements.len()).map(|at| self.behind(at)).collect();
        for start in 0..behind.len() {
            let Some(way) = way_back(&behind, start) else { continue };
            if !reported.insert(way.iter().copied().collect()) {
                continue;
            }
            let steps = way.iter().map(|at| &self.builder.elements[*at].step);
            let names: Vec<&str> =
                steps.filter(|step| !matches!(step, Step::Source(_))).map(Step::name).collect();
            let found = format!("found a cycle: {} → {}", names.join(" → "), names[0]);
            let first =
                way.iter().find(|at| !matches!(self.builder.elements[**at].step, Step::Source(_)));
            let step = &self.builder.elements[*first.unwrap_or(&start)].step;
            self.at(
                step,
                "inputs",
                found,
                "records would go round without end: take one of these inputs away",
            );
        }
    }

    /// The steps behind one, over topics too.
    fn behind(&self, at: usize) -> Vec<usize> {
        let mine = &self.builder.elements[at].flows;
        let sinks: Vec<&str> = self
            .builder
            .sinks
            .iter()
            .filter(|(stream, _)| mine.contains(stream))
            .map(|(_, topic)| &**topic)
            .collect();
        let stores = match &self.builder.elements[at].step {
            step @ Step::Function(_) => cut::written(step),
            _ => Vec::new(),
        };
        let next = self.builder.elements.iter().enumerate().filter(|(_, element)| {
            let takes = |stream: &Stream| self.builder.flow(*stream).element == at;
            element.inputs.iter().any(|(_, stream)| takes(stream))
                || match &element.step {
                    Step::Source(source) => {
                        sinks.contains(&&*source.topic)
                            || matches!(&self.builder.elements[at].step, Step::Rekey(_, topic) if *topic == source.topic)
                    }
                    Step::Aggregate(aggregate) => stores.contains(&code(&aggregate.name)),
                    _ => false,
                }
        });
        next.map(|(at, _)| at).collect()
    }
}
