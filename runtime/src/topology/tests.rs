//! Graphs built step by step: how they are cut, and what is said where they are not right.

use std::{sync::Arc, time::Duration};

use insta::assert_snapshot;
use tidemill_aggregates::{Aggregate as Computed, Compute, Type};

use super::*;
use crate::{
    aggregate::{Emit, KeyFormat, Spec, Windows},
    bind::tests::graph,
};

const SECOND: Duration = Duration::from_secs(1);

fn spec(windows: Option<Windows>, columns: &[(&str, &str)]) -> Spec {
    let columns = columns.iter().map(|(name, of)| (*name, Computed::parse(of).unwrap()));
    Spec {
        compute: Arc::new(Compute::new(columns).unwrap()),
        windows,
        grace: Duration::ZERO,
        retention: 60 * SECOND,
        emit: Emit::Changes { every_update: true },
        idle: None,
        key_format: KeyFormat::Plain,
    }
}

fn count() -> Spec {
    spec(Some(Windows::Tumbling { size: SECOND }), &[("count", "count()")])
}

fn problems(app: Builder) -> String {
    app.build().expect_err("something is wrong").to_string()
}

fn long(topic: &str) -> Source {
    Source::new(topic).key(Format::String).value(Format::Long)
}

#[test]
fn each_operator_is_a_graph_of_its_own() {
    let mut app = Builder::new("trial");
    let left = app.source(long("left").late("late"));
    let right = app.source(long("right"));
    let table = app.table(Table::new("rows", "rows").value(Format::String));
    let everywhere = app.table(Table::new("everywhere", "everywhere").broadcast());
    let rows = app.join(
        Join::streams("pairs", left, right, JoinKind::Full, SECOND, 2 * SECOND).grace(SECOND),
    );
    let looked_up = app.join(Join::table("looked-up", left, table, JoinKind::Left));
    let key = KeyFrom::Column { format: Format::Long, name: VALUE.to_owned() };
    let found = app.join(Join::broadcast("found", left, everywhere, JoinKind::Inner, key));
    let both = [("left", Expr::column("left")), ("right", Expr::column("right"))];
    for (name, rows) in [("pairs-out", rows), ("looked-up-out", looked_up), ("found-out", found)] {
        let object = app.project(Projection::new(name, rows, both.clone()));
        app.sink(object, name);
    }
    let large = Expr::column(VALUE).compare(Comparison::Greater, Expr::literal(5));
    let kept = app.filter("large", left, large);
    let sums = app.aggregate(
        Aggregate::new(
            "sums",
            spec(Some(Windows::Session { gap: SECOND }), &[("sum", "sum(value)")]),
        )
        .from(kept)
        .value(Format::Long),
    );
    app.sink(sums, "sums");
    app.sink(sums, "sums-again");
    app.sink(right, "copy");
    assert_snapshot!(graph(&app.build().unwrap()), @r#"
    pairs by 500
      left -> found.0, large.0, looked-up.0, pairs.0
      right -> pairs.1, to-copy.0
      [0] Join trial.pairs.changelog
      [1] Session trial.sums.changelog: sum = sum(value) Some(Session { gap: 1s }) Changes { every_update: true }
      [2] Table everywhere broadcast
      [3] Table rows
      [4] Meta trial.pairs.meta
      found: Join(JoinNode { kind: Inner, pair: StreamBroadcast { table: 2, key: Column { format: Long, name: "value" } } })
        rows -> found-out.0
      found-out: Project(ProjectNode { from: Sides(One(Long), One(Bytes)), columns: [("left", Column("left")), ("right", Column("right"))], value: Json })
        records -> found-out
      large: Filter(FilterNode { predicate: Some(Predicate { layout: One(Long), expr: Compare(Greater, Column("value"), Literal(Int(5))) }) })
        records -> sums.0
      looked-up: Join(JoinNode { kind: Left, pair: StreamTable { table: 3 } })
        rows -> looked-up-out.0
      looked-up-out: Project(ProjectNode { from: Sides(One(Long), One(String)), columns: [("left", Column("left")), ("right", Column("right"))], value: Json })
        records -> looked-up-out
      pairs: Join(JoinNode { kind: Full, pair: StreamStream { store: 0, before: 1s, after: 2s, grace: 1s, idle: None } })
        rows -> pairs-out.0
        late_left -> late
        late_right -> 
      pairs-out: Project(ProjectNode { from: Sides(One(Long), One(Long)), columns: [("left", Column("left")), ("right", Column("right"))], value: Json })
        records -> pairs-out
      sums: Aggregate(AggregateNode { store: 1, feed: Some(Feed { format: Long, columns: ["value"] }), value: Long })
        results -> sums, to-sums-again.0
        late -> late
      to-copy: Filter(FilterNode { predicate: None })
        records -> copy
      to-sums-again: Filter(FilterNode { predicate: None })
        records -> sums-again
    "#);
}

#[test]
fn tables_are_joined_as_streams_of_changes() {
    let mut app = Builder::new("trial");
    let [one, two, three] = ["one", "two", "three"]
        .map(|name| app.table(Table::new(name, name).key(Format::String).value(Format::String)));
    let rows = app.join(Join::tables("pair", one, two, JoinKind::Full));
    let rows = app.join(Join::tables("all", rows, three, JoinKind::Inner));
    let texts = [("text", Expr::column("left.left"))];
    let texts = app.project(Projection::new("texts", rows, texts).value(Format::String));
    app.sink(texts, "texts");
    assert_snapshot!(graph(&app.build().unwrap()), @r#"
    all by 500
      one -> pair.0
      three -> all.1
      two -> pair.1
      [0] Value trial.all_left.changelog
      [1] Value trial.all_right.changelog
      [2] Value trial.pair_left.changelog
      [3] Value trial.pair_right.changelog
      [4] Meta trial.all.meta
      pair: Join(JoinNode { kind: Full, pair: TableTable { left: 2, right: 3 } })
        rows -> all.0
      all: Join(JoinNode { kind: Inner, pair: TableTable { left: 0, right: 1 } })
        rows -> texts.0
      texts: Project(ProjectNode { from: Sides(Sides(One(String), One(String)), One(String)), columns: [("text", Column("left.left"))], value: String })
        records -> texts
    "#);
}

#[test]
fn a_rekey_cuts_and_streams_that_share_a_topic_belong_together() {
    let mut app = Builder::new("trial");
    let orders = app.source(Source::new("orders").value(Format::Json));
    let by = KeyFrom::Column { format: Format::Json, name: "user".to_owned() };
    let rekeyed = app.rekey(Rekey::new("by-user", orders, by.clone()).partitions(3));
    let again = app.rekey(Rekey::new("again", rekeyed, by).topic("users-again"));
    for (name, from) in [("of-orders", orders), ("of-users", rekeyed), ("of-all", again)] {
        let counts =
            app.aggregate(Aggregate::new(name, spec(None, &[("count", "count()")])).from(from));
        app.sink(counts, name);
    }
    let same = app.source(Source::new("orders").value(Format::Json));
    assert_eq!(same, orders);
    let topology = app.build().unwrap();
    assert_snapshot!(graph(&topology), @r#"
    of_all by 500
      users-again -> of-all.0
      [0] Window trial.of_all.changelog: count = count() None Changes { every_update: true }
      [1] Meta trial.of_all.meta
      of-all: Aggregate(AggregateNode { store: 0, feed: Some(Feed { format: Json, columns: [] }), value: Json })
        results -> of-all
        late -> 
    of_orders by 500
      orders -> by-user.0, of-orders.0
      [0] Window trial.of_orders.changelog: count = count() None Changes { every_update: true }
      [1] Meta trial.of_orders.meta
      by-user: Rekey(RekeyNode { by: Column { format: Json, name: "user" } })
        records -> trial.by_user.repartition
      of-orders: Aggregate(AggregateNode { store: 0, feed: Some(Feed { format: Json, columns: [] }), value: Json })
        results -> of-orders
        late -> 
    of_users by 500
      trial.by_user.repartition -> again.0, of-users.0
      [0] Window trial.of_users.changelog: count = count() None Changes { every_update: true }
      [1] Meta trial.of_users.meta
      again: Rekey(RekeyNode { by: Column { format: Json, name: "user" } })
        records -> users-again
      of-users: Aggregate(AggregateNode { store: 0, feed: Some(Feed { format: Json, columns: [] }), value: Json })
        results -> of-users
        late -> 
    through trial.by_user.repartition
    through users-again
    "#);
    assert_eq!(topology.repartitions[0].partitions, Some(3));
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let mut app = Builder::new("trial");
    let typed = [("name".to_owned(), Type::Text), ("n".to_owned(), Type::Int)];
    let typed = app.source(Source::new("typed").value(Format::Json).columns(typed.to_vec()));
    let plain = app.source(long("plain"));
    let unknown = app.source(Source::new("unknown"));
    app.source(Source::new("plain").value(Format::Json));
    let table = app.table(Table::new("rows", "rows"));
    let everywhere = app.table(Table::new("everywhere", "everywhere").broadcast());
    app.filter("texts", typed, Expr::column("name").compare(Comparison::Less, Expr::literal(1)));
    app.filter("fields", plain, Expr::IsNull(Box::new(Expr::column("n"))));
    app.filter("fields", unknown, Expr::IsNull(Box::new(Expr::column("n"))));
    app.aggregate(Aggregate::new("sums", spec(None, &[("sum", "sum(name)")])).from(typed));
    app.aggregate(Aggregate::new("missing", spec(None, &[("sum", "sum(m)")])).from(typed));
    let two = spec(None, &[("n", "count()"), ("m", "count()")]);
    let windows = app.aggregate(Aggregate::new("two", two).from(plain).value(Format::Long));
    app.aggregate(Aggregate::new("unfed", count()));
    let counts = app.aggregate(Aggregate::new("counts", count()).from(plain));
    let rows = app.join(Join::table("right", plain, table, JoinKind::Right));
    app.sink(rows, "rows");
    app.sink(windows, "not a topic");
    app.join(Join::table("broad", plain, everywhere, JoinKind::Inner));
    app.join(Join::broadcast("narrow", plain, table, JoinKind::Inner, KeyFrom::Key));
    app.join(Join::streams("windows", counts, typed, JoinKind::Inner, SECOND, SECOND));
    app.join(Join::tables("no-table", plain, table, JoinKind::Inner));
    app.rekey(Rekey::new("same", plain, KeyFrom::Key));
    app.rekey(Rekey::new("joined", rows, KeyFrom::Header("id".to_owned())));
    app.project(Projection::new("none", plain, Vec::<(String, Expr)>::new()));
    assert_snapshot!(problems(app), @r"
    filter fields: a filter has the same name; give it a name of its own
    topic plain: it is read with different formats, columns or times; declare it once
    filter texts.where: `name < 1` compares text with int; correct the expression
    filter fields.where: a long value has no column `n`; it has one column, `value`
    filter fields.where: it reads the column `n` of values in no known format; declare the format of the topic they come from
    store sums.compute: `sum(name)`: it takes an int or a float, and its column is text; take a column of another type
    store missing.compute: there is no column `m`; there are name, n; name one of them
    store two.format: 2 columns cannot be written as long; json has all columns, other formats are one
    store unfed.from: nothing feeds it; name what feeds it, or feed it in a function
    join right.kind: a row of the table without a record gives nothing; with a table on the right it is inner or left
    join broad.right: the table `everywhere` is on every host; join it as a broadcast table
    join narrow.right: the table `rows` is not on every host; declare it as broadcast, or join by the record's key
    join windows.left: `counts` gives results of windows, of which a key has several; join what is aggregated before it is
    join no-table.left: `plain` is no table; take a table, or the join of two tables
    rekey same.by: its input has the same keys already; say where the new key is
    rekey joined.input: a row of a join cannot be written to a topic; project what is wanted of it first
    projection none.columns: 0 columns cannot be written as json; json has all columns, other formats are one
    join right.output: a row of a join cannot be written to a topic; project what is wanted of it first
    topic not a topic: no topic has such a name; take another one
    ");
}

#[test]
fn topics_of_the_app_are_nobody_elses_and_nothing_runs_in_circles() {
    let mut app = Builder::new("trial");
    let orders = app.source(Source::new("orders").value(Format::Json));
    let counts = app.aggregate(Aggregate::new("counts", count()).from(orders));
    app.sink(counts, "trial.counts.changelog");
    let id = || KeyFrom::Header("id".to_owned());
    let one = app.rekey(Rekey::new("one", orders, id()));
    app.rekey(Rekey::new("two", orders, id()).topic("trial.one.repartition"));
    app.rekey(Rekey::new("three", orders, id()).topic("a b"));
    app.sink(one, "orders");
    assert_snapshot!(problems(app), @r"
    rekey two.topic: its topic is that of `one`; give each a topic of its own
    rekey three.topic: its topic would be `a b`; no topic has such a name: take another one
    topic trial.counts.changelog: it holds state of the app; only the app's stores may use it
    rekey two.inputs: found a cycle: two → two; records would go round without end: take one of these inputs away
    rekey one.inputs: found a cycle: one → one; records would go round without end: take one of these inputs away
    ");
    let mut app = Builder::new("trial");
    let orders = app.source(Source::new("orders").key(Format::String));
    let other = app.source(Source::new("other").key(Format::Long));
    app.join(Join::streams("keys", orders, other, JoinKind::Inner, SECOND, SECOND));
    let copied = app.filter("copied", orders, Expr::And(Vec::new()));
    app.sink(copied, "orders");
    assert_snapshot!(problems(app), @r"
    join keys.right: keys of the left side are string and those of the right side long; equal keys must be equal bytes: rekey one of them
    filter copied.inputs: found a cycle: copied → copied; records would go round without end: take one of these inputs away
    ");
}

#[test]
fn rows_of_joins_of_joins_do_not_grow_without_end() {
    let mut app = Builder::new("trial");
    let mut table = Side::Table(app.table(Table::new("t", "t")));
    for level in 0..7 {
        let rows = app.join(Join::tables(&format!("j{level}"), table, table, JoinKind::Inner));
        table = Side::Stream(rows);
    }
    assert_snapshot!(problems(app), @"join j6: its rows would be of more than 64 sides; project what is wanted of the joins before it");
}
