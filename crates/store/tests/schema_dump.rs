//! The schema as one text: what the migrations make, beside them, so that a change is seen as a whole. `UPDATE=1` rewrites.

use std::path::{Path, PathBuf};

use nightshift_store::{
    postgres::{self, PostgresStore, create_database, drop_database},
    sqlite::{self, SqliteStore},
};
use sqlx::{ConnectOptions, Connection, Row};
use uuid::Uuid;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema").join(name)
}

#[expect(clippy::disallowed_methods, reason = "tests are told by the environment what to do")]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn compare(name: &str, dumped: &str) {
    let path = golden(name);
    if told("UPDATE").is_some() {
        std::fs::write(&path, dumped).expect("the schema folder can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == dumped,
        "schema/{name} is not what the migrations make; run this test with UPDATE=1 and look at the difference"
    );
}

#[tokio::test]
async fn the_sqlite_dump_is_what_the_migrations_make() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    SqliteStore::open(sqlite::OpenOptions::at(&path, Uuid::nil(), &[])).await.expect("migrated").close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut conn = options.connect().await.expect("opened");
    let query = "select sql from sqlite_master where sql is not null and name not like '\\_sqlx%' escape '\\' order by type desc, name";
    let rows = sqlx::query(query).fetch_all(&mut conn).await.expect("read");
    let texts: Vec<String> = rows.iter().map(|row| row.get::<String, _>(0) + ";\n").collect();
    conn.close().await.expect("closed");
    compare("sqlite.sql", &texts.join("\n"));
}

/// The catalogue in words that do not depend on the version of the server: columns, constraints, indexes, views.
const POSTGRES_DUMP: &str = "
select format('table %s: %s %s%s', table_name, column_name, data_type, case is_nullable when 'NO' then ' not null' else '' end) as line,
    1 as part, table_name::text as a, lpad(ordinal_position::text, 4, '0') as b
from information_schema.columns where table_schema = 'public' and table_name not like '\\_sqlx%'
union all
select format('%s on %s: %s', case contype when 'p' then 'key' when 'u' then 'unique' else 'check' end, conrelid::regclass, pg_get_constraintdef(oid)),
    2, conrelid::regclass::text, conname::text
from pg_constraint where connamespace = 'public'::regnamespace and contype in ('p', 'u', 'c') and conrelid::regclass::text not like '\\_sqlx%'
union all
select format('index %s', indexdef), 3, tablename::text, indexname::text from pg_indexes
where schemaname = 'public' and tablename not like '\\_sqlx%'
order by 2, 3, 4";

#[tokio::test]
async fn the_postgres_dump_is_what_the_migrations_make() {
    let Some(base) = told("NIGHTSHIFT_TEST_POSTGRES") else {
        assert!(told("CI").is_none(), "NIGHTSHIFT_TEST_POSTGRES is not set: run scripts/test");
        println!("skipped: no PostgreSQL; scripts/test starts one");
        return;
    };
    let (server, _) = base.rsplit_once('/').expect("an address with a database");
    let url = format!("{server}/nightshift_schema_dump");
    drop_database(&url).await.expect("removed");
    create_database(&url).await.expect("made");
    PostgresStore::open(postgres::OpenOptions::at(&url, Uuid::nil(), &[])).await.expect("migrated").close().await;
    let options: sqlx::postgres::PgConnectOptions = url.parse().expect("an address");
    let mut conn = options.connect().await.expect("opened");
    let rows = sqlx::query(POSTGRES_DUMP).fetch_all(&mut conn).await.expect("read");
    let texts: Vec<String> = rows.iter().map(|row| row.get::<String, _>(0) + "\n").collect();
    conn.close().await.expect("closed");
    drop_database(&url).await.expect("removed");
    compare("postgres.sql", &texts.concat());
}
