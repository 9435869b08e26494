//! Promises of the read models, on tables of the suite's own.

use nightshift_domain::ids::{ShardId, derive};
use nightshift_projections::{
    Image,
    table::{Column, ColumnType, Row, TableDef},
};
use serde_json::{Value, json};

use crate::{
    read_models::{Equals, Generation, Query, RowBatch, Search},
    rows::{clean, normal},
    store::Store,
};

/// A column of every type.
static THINGS: TableDef = TableDef {
    name: "conformance_things",
    columns: &[
        column("id", ColumnType::Uuid, false),
        column("name", ColumnType::Text, false),
        column("note", ColumnType::Text, true),
        column("size", ColumnType::Int, true),
        column("open", ColumnType::Bool, true),
        column("since", ColumnType::Time, true),
        column("facts", ColumnType::Json, true),
        column("score", ColumnType::Real, true),
    ],
    key: &["id"],
    fixed: &[],
};

/// A key of two columns, and words of SQL as names.
static PAIRS: TableDef = TableDef {
    name: "conformance_pairs",
    columns: &[column("order", ColumnType::Text, false), column("select", ColumnType::Int, false)],
    key: &["order", "select"],
    fixed: &[],
};

/// The tables that a store for this suite must have.
pub const PROBES: &[&TableDef] = &[&THINGS, &PAIRS];

const fn column(name: &'static str, kind: ColumnType, nullable: bool) -> Column {
    Column { name, kind, nullable }
}

fn id(n: u64) -> Value {
    json!(derive("thing", &[&n.to_be_bytes()]).to_string())
}

fn row(fields: Value) -> Row {
    match fields {
        Value::Object(fields) => fields,
        other => panic!("{other} is no row"),
    }
}

/// Whole, without anything missing.
fn thing(n: u64) -> Row {
    row(json!({
        "id": id(n), "name": format!("thing {n}"), "note": n.is_multiple_of(3).then(|| format!("n{}", n % 2)),
        "size": n * 10, "open": n.is_multiple_of(2), "since": format!("2026-11-21T10:00:{:02}.000001Z", n % 60),
        "facts": {"n": n, "list": [1, null, "x"]}, "score": n as f64 / 4.0, "shard_id": 1, "src_seq": n,
    }))
}

fn pair(order: &str, select: i64) -> Row {
    row(json!({"order": order, "select": select, "shard_id": 2, "src_seq": 1}))
}

fn batch(shard: u16, from_seq: u64, upto_seq: u64) -> RowBatch {
    RowBatch { shard: ShardId(shard), from_seq, upto_seq, upserts: Vec::new(), deletes: Vec::new() }
}

/// A row to write.
fn upsert(table: &'static TableDef, row: Row) -> (&'static TableDef, Image) {
    (table, Image::from_row(table, row))
}

fn things(shard: u16, from_seq: u64, upto_seq: u64, numbers: impl IntoIterator<Item = u64>) -> RowBatch {
    let upserts = numbers.into_iter().map(|n| upsert(&THINGS, thing(n))).collect();
    RowBatch { upserts, ..batch(shard, from_seq, upto_seq) }
}

async fn write(store: &dyn Store, batches: &[RowBatch]) {
    assert_eq!(store.write(Generation::Live, batches).await, Ok(true));
}

async fn names(store: &dyn Store, query: &Query) -> Vec<String> {
    let rows = store.query(&THINGS, query).await.expect("answered");
    rows.iter().map(|row| row["name"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn by_id(store: &dyn Store, generation: Generation, n: u64) -> Option<Row> {
    store.rows(generation, &THINGS, &[vec![id(n)]]).await.expect("read").pop()
}

/// In both generations, in a write of a few rows and in one of many: a store may do each in a different way.
pub(super) async fn rows_come_back_as_they_were(store: &dyn Store) {
    store.begin_rebuild().await.expect("begun");
    let generations = [Generation::Live, Generation::Rebuilt];
    for (generation, (from, others)) in generations.into_iter().flat_map(|each| [(each, (0, 0)), (each, (1, 200))]) {
        let strange = row(json!({
            "id": id(2), "name": "Ünïcødé \u{1f600} '\"\\ \n$1 {}", "note": "", "size": i64::MAX, "open": null,
            "since": null, "facts": "a bare \"text\"", "score": 1, "shard_id": 1, "src_seq": i64::MAX,
        }));
        let sparse = row(json!({"id": id(3), "name": "nul \u{0} here", "shard_id": 1, "src_seq": 1, "unknown": 1}));
        let nul = json!({"a\u{0}": ["\u{0}"], "open": [true, null]});
        let documents = [json!([]), json!({}), json!(true), json!(-7), json!({"a": {"b": ["\u{e4}", 1.5]}}), nul];
        let mut upserts = vec![upsert(&THINGS, thing(1)), upsert(&THINGS, strange.clone()), upsert(&THINGS, sparse)];
        for (n, document) in (10..).zip(&documents) {
            let mut row = thing(n);
            row.insert("facts".to_owned(), document.clone());
            upserts.push(upsert(&THINGS, row));
        }
        upserts.extend((1_000..1_000 + others).map(|n| upsert(&THINGS, thing(n))));
        let many = RowBatch { upserts, ..batch(1, from, from + 1) };
        assert_eq!(store.write(generation, &[many]).await, Ok(true));
        assert_eq!(by_id(store, generation, 1).await, Some(thing(1)));
        assert_eq!(by_id(store, generation, 2).await, Some(normal(&THINGS, strange)));
        let sparse = by_id(store, generation, 3).await.expect("there");
        assert_eq!(sparse["name"], json!("nul \u{fffd} here"), "a text without NUL on every store");
        assert_eq!((sparse.len(), &sparse["open"]), (10, &Value::Null));
        for (n, document) in (10..).zip(documents) {
            assert_eq!(by_id(store, generation, n).await.expect("there")["facts"], clean(document));
        }
        for n in 1_000..1_000 + others {
            assert_eq!(by_id(store, generation, n).await, Some(thing(n)));
        }
    }
    let some = store.rows(Generation::Live, &THINGS, &[vec![id(99)], vec![id(1)], vec![id(2)]]).await.expect("read");
    assert_eq!(some.len(), 2);
    assert_eq!(store.rows(Generation::Live, &THINGS, &[]).await, Ok(vec![]));
}

pub(super) async fn a_checkpoint_is_compared_and_set(store: &dyn Store) {
    assert_eq!(store.checkpoints(Generation::Live).await, Ok(vec![]));
    write(store, &[things(1, 0, 5, [1]), things(2, 0, 3, [2])]).await;
    for from in [0, 4, 6] {
        let refused = store.write(Generation::Live, &[things(2, 3, 4, [3]), things(1, from, 9, [4])]).await;
        assert_eq!(refused, Ok(false), "from {from}");
    }
    assert_eq!(store.write(Generation::Live, &[things(7, 1, 2, [5])]).await, Ok(false), "a shard not begun");
    assert_eq!(store.checkpoints(Generation::Live).await, Ok(vec![(ShardId(1), 5), (ShardId(2), 3)]));
    assert_eq!(names(store, &Query::default()).await.len(), 2, "nothing of a refused write stays");
    write(store, &[things(1, 5, 9, [4]), things(1, 9, 10, [5])]).await;
    assert_eq!(store.checkpoints(Generation::Live).await, Ok(vec![(ShardId(1), 10), (ShardId(2), 3)]));
    write(store, &[]).await;
}

pub(super) async fn a_row_can_be_replaced_and_deleted(store: &dyn Store) {
    write(store, &[things(1, 0, 1, [1, 2, 3])]).await;
    let mut changed = thing(2);
    changed.insert("note".to_owned(), Value::Null);
    changed.insert("size".to_owned(), json!(-1));
    let change = RowBatch {
        upserts: vec![upsert(&THINGS, changed.clone()), upsert(&PAIRS, pair("a", 1)), upsert(&PAIRS, pair("a", 2))],
        deletes: vec![(&THINGS, vec![id(1)]), (&THINGS, vec![id(77)])],
        ..batch(1, 1, 2)
    };
    write(store, &[change]).await;
    assert_eq!(by_id(store, Generation::Live, 1).await, None);
    assert_eq!(by_id(store, Generation::Live, 2).await, Some(changed));
    assert_eq!(by_id(store, Generation::Live, 3).await, Some(thing(3)));
    let gone = RowBatch { deletes: vec![(&PAIRS, vec![json!("a"), json!(1)])], ..batch(1, 2, 3) };
    write(store, &[gone]).await;
    let left = store.rows(Generation::Live, &PAIRS, &[vec![json!("a"), json!(1)], vec![json!("a"), json!(2)]]).await;
    assert_eq!(left, Ok(vec![pair("a", 2)]));
}

pub(super) async fn batches_of_shards_are_written_together(store: &dyn Store) {
    write(store, &[things(1, 0, 4, 0..300), things(2, 0, 4, 300..600)]).await;
    assert_eq!(names(store, &Query { limit: 1_000, ..Query::default() }).await.len(), 600);
    // The last word on a key counts, whichever batch it is in.
    let delete = RowBatch { deletes: vec![(&THINGS, vec![id(5)])], ..batch(2, 4, 5) };
    write(store, &[things(1, 4, 5, [5]), delete.clone()]).await;
    assert_eq!(by_id(store, Generation::Live, 5).await, None);
    let delete = RowBatch { from_seq: 5, upto_seq: 6, ..delete };
    write(store, &[delete, things(1, 5, 6, [5])]).await;
    assert_eq!(by_id(store, Generation::Live, 5).await, Some(thing(5)));
}

pub(super) async fn questions_are_answered(store: &dyn Store) {
    write(store, &[things(1, 0, 1, 0..12)]).await;
    let ask = |equals: Vec<(&'static str, Value)>,
               above: Vec<(&'static str, Value)>,
               order: Vec<(&'static str, bool)>| Query { equals, above, order, ..Query::default() };
    let cases: Vec<(Query, &[u64])> = vec![
        (ask(vec![("size", json!(30))], vec![], vec![]), &[3]),
        (ask(vec![("id", id(4))], vec![], vec![]), &[4]),
        (ask(vec![("open", json!(true))], vec![("size", json!(50))], vec![("size", false)]), &[6, 8, 10]),
        (ask(vec![("note", Value::Null)], vec![], vec![("size", true)]), &[11, 10, 8, 7, 5, 4, 2, 1]),
        (ask(vec![("note", json!("n1"))], vec![], vec![("name", false)]), &[3, 9]),
        (ask(vec![("note", json!("it's"))], vec![], vec![]), &[]),
        (ask(vec![], vec![("since", json!("2026-11-21T10:00:09Z"))], vec![("since", true)]), &[11, 10, 9]),
        (ask(vec![("score", json!(0.75))], vec![], vec![]), &[3]),
        (ask(vec![], vec![("name", json!("thing 7"))], vec![("name", true)]), &[9, 8]),
        (ask(vec![("src_seq", json!(7)), ("shard_id", json!(1))], vec![], vec![]), &[7]),
        (ask(vec![], vec![("note", Value::Null)], vec![]), &[]),
        // Null before all, and the rest by the second column.
        (
            Query { limit: 6, ..ask(vec![], vec![("size", json!(10))], vec![("note", false), ("size", false)]) },
            &[2, 4, 5, 7, 8, 10],
        ),
        (Query { limit: 3, offset: 2, ..ask(vec![], vec![], vec![("note", true), ("size", false)]) }, &[0, 6, 1]),
    ];
    for (query, expected) in cases {
        let expected: Vec<String> = expected.iter().map(|n| format!("thing {n}")).collect();
        assert_eq!(names(store, &query).await, expected, "{query:?}");
    }
    assert_eq!(store.query(&PAIRS, &Query::default()).await, Ok(vec![]));
    assert_eq!(store.count(&PAIRS, &Query::default()).await, Ok(0));
    write(store, &[things(1, 1, 2, 100..210)]).await;
    assert_eq!(names(store, &Query::default()).await.len(), 100, "the default");
}

/// Each with the rows it has in the order of their size, and counted whatever its page.
pub(super) async fn rows_are_filtered_searched_and_counted(store: &dyn Store) {
    write(store, &[things(1, 0, 1, 0..12)]).await;
    let named = |n: u64, name: &str| {
        let mut row = thing(n);
        row.insert("name".to_owned(), json!(name));
        upsert(&THINGS, row)
    };
    let upserts = vec![named(12, "A Straße, 100% ÄB_x"), named(13, "it's $1 \\ {}")];
    write(store, &[RowBatch { upserts, ..batch(1, 1, 2) }]).await;
    let below = |column, value| Query { below: vec![(column, value)], ..Query::default() };
    let any = |groups: Vec<Vec<Equals>>| Query { any_of: groups, ..Query::default() };
    let search = |columns: &'static [&'static str], word: &str| Query {
        search: Some(Search { columns, word: word.to_owned() }),
        ..Query::default()
    };
    let size = |n: u64| vec![("size", json!(n * 10))];
    let one = id(3).as_str().unwrap_or_default().to_uppercase();
    let cases: Vec<(Query, &[u64])> = vec![
        (below("size", json!(30)), &[0, 1, 2]),
        (below("since", json!("2026-11-21T11:00:02+01:00")), &[0, 1]),
        (below("name", json!("thing 1")), &[0, 12, 13]),
        (below("note", json!("n1")), &[0, 6, 12]),
        (below("note", Value::Null), &[]),
        (below("score", json!(0.5)), &[0, 1]),
        (Query { above: size(2), ..below("size", json!(50)) }, &[3, 4]),
        (any(vec![vec![size(1), size(5), size(500)]]), &[1, 5]),
        (any(vec![vec![size(1), size(1), vec![("size", json!(10)), ("open", json!(false))]]]), &[1]),
        (any(vec![vec![vec![("open", json!(true)), ("note", Value::Null)], size(3)]]), &[2, 3, 4, 8, 10]),
        (any(vec![vec![size(1), size(2), size(3)], vec![vec![("open", json!(false))]]]), &[1, 3]),
        (Query { equals: vec![("open", json!(true))], ..any(vec![vec![size(1), size(2)]]) }, &[2]),
        (any(vec![vec![vec![]], vec![size(4)]]), &[4]),
        (any(vec![vec![]]), &[]),
        (search(&["name"], "THING 1"), &[1, 10, 11]),
        (search(&["note", "name"], "N1"), &[3, 9]),
        (search(&["name"], "100%"), &[12]),
        (search(&["name"], "straße"), &[12]),
        (search(&["name"], "b_X"), &[12]),
        (search(&["name"], "it's $1 \\ {"), &[13]),
        (search(&["id"], &one), &[3]),
        (search(&["name"], "%"), &[12]),
        (search(&["name"], "nothing \0"), &[]),
        (search(&["note"], ""), &[0, 3, 6, 9, 12]),
        (search(&[], "a"), &[]),
        (Query { below: size(5), ..search(&["name"], "thing") }, &[0, 1, 2, 3, 4]),
    ];
    for (query, expected) in cases {
        let found = Query { order: vec![("size", false)], ..query };
        let rows = store.query(&THINGS, &found).await.expect("answered");
        let sizes: Vec<u64> = rows.iter().filter_map(|row| row["size"].as_u64()).map(|size| size / 10).collect();
        assert_eq!(sizes, expected, "{found:?}");
        let page = Query { limit: 1, offset: 2, ..found };
        assert_eq!(store.count(&THINGS, &page).await, Ok(expected.len() as u64), "{page:?}");
    }
}

pub(super) async fn an_unknown_column_is_refused(store: &dyn Store) {
    for query in [
        Query { equals: vec![("nonsense", json!(1))], ..Query::default() },
        Query { above: vec![("nonsense", json!(1))], ..Query::default() },
        Query { order: vec![("nonsense", true)], ..Query::default() },
        Query { below: vec![("nonsense", json!(1))], ..Query::default() },
        Query { any_of: vec![vec![vec![("nonsense", json!(1))]]], ..Query::default() },
        Query { search: Some(Search { columns: &["nonsense"], word: "a".to_owned() }), ..Query::default() },
    ] {
        let refused = store.query(&THINGS, &query).await.expect_err("no such column").to_string();
        assert!(refused.contains("nonsense") && refused.contains("score"), "{refused}");
    }
    store.count_by(&THINGS, "nonsense").await.expect_err("no such column");
}

pub(super) async fn rows_are_counted_by_a_column(store: &dyn Store) {
    write(store, &[things(1, 0, 1, 0..12)]).await;
    let open = store.count_by(&THINGS, "open").await;
    assert_eq!(open, Ok(vec![(json!(false), 6), (json!(true), 6)]));
    let notes = store.count_by(&THINGS, "note").await.expect("counted");
    assert_eq!(notes, [(json!("n0"), 2), (json!("n1"), 2), (Value::Null, 8)]);
    assert_eq!(store.count_by(&PAIRS, "order").await, Ok(vec![]));
}

pub(super) async fn a_rebuild_replaces_the_live_rows(store: &dyn Store) {
    write(store, &[things(1, 0, 9, 0..5), things(2, 0, 9, [])]).await;
    store.swap_rebuilt().await.expect_err("no rebuild has begun");
    store.begin_rebuild().await.expect("begun");
    let old = store.write(Generation::Rebuilt, &[things(1, 0, 2, [90])]).await;
    assert_eq!(old, Ok(true));
    store.begin_rebuild().await.expect("begun anew");
    assert_eq!(store.checkpoints(Generation::Rebuilt).await, Ok(vec![]));
    assert_eq!(by_id(store, Generation::Rebuilt, 90).await, None);

    assert_eq!(store.write(Generation::Rebuilt, &[things(1, 0, 3, [2, 50])]).await, Ok(true));
    assert_eq!(store.write(Generation::Rebuilt, &[things(1, 0, 4, [51])]).await, Ok(false), "its own checkpoint");
    let more = RowBatch { deletes: vec![(&THINGS, vec![id(50)])], ..things(1, 3, 6, [2, 52]) };
    assert_eq!(store.write(Generation::Rebuilt, &[more]).await, Ok(true));
    assert_eq!(by_id(store, Generation::Rebuilt, 52).await, Some(thing(52)));
    assert_eq!(by_id(store, Generation::Rebuilt, 50).await, None);
    assert_eq!(store.checkpoints(Generation::Rebuilt).await, Ok(vec![(ShardId(1), 6)]));
    assert_eq!(names(store, &Query::default()).await.len(), 5, "the live rows stay until the swap");
    assert_eq!(store.checkpoints(Generation::Live).await, Ok(vec![(ShardId(1), 9), (ShardId(2), 9)]));

    store.swap_rebuilt().await.expect("swapped");
    let by_size = Query { order: vec![("size", false)], ..Query::default() };
    assert_eq!(names(store, &by_size).await, ["thing 2", "thing 52"]);
    assert_eq!(store.checkpoints(Generation::Live).await, Ok(vec![(ShardId(1), 6)]));
    assert_eq!(store.checkpoints(Generation::Rebuilt).await, Ok(vec![]));
    write(store, &[things(1, 6, 7, [2, 3])]).await;
    store.swap_rebuilt().await.expect_err("it was swapped already");
    assert_eq!(names(store, &by_size).await, ["thing 2", "thing 3", "thing 52"]);
}
