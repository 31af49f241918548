//! Places and the line before them; connections themselves are lent in `tests/session/pooled.rs`.

use std::sync::Arc;
use std::time::Duration;

use futures::poll;

use super::{NoRoom, Pool, Pools};
use crate::server::config;

fn pool(size: u32, queue: u32) -> Arc<Pool> {
    patient(size, queue, Duration::from_secs(600))
}

fn patient(size: u32, queue: u32, queue_timeout: Duration) -> Arc<Pool> {
    let pools = Pools::new(config::Pool {
        size,
        queue,
        queue_timeout,
        ..config::Pool::default()
    });
    pools.of("db", "login")
}

#[tokio::test]
async fn a_place_goes_to_who_waited_longest() {
    let pool = pool(1, 10);
    let taken = pool.room().await.unwrap();
    let (mut first, mut second) = (Box::pin(pool.room()), Box::pin(pool.room()));
    assert!(poll!(first.as_mut()).is_pending());
    assert!(poll!(second.as_mut()).is_pending());
    drop(taken);
    assert!(poll!(second.as_mut()).is_pending());
    let taken = first.await.unwrap();
    assert!(poll!(second.as_mut()).is_pending());
    drop(taken);
    drop(second.await.unwrap());
    // Nobody waits: the place is there for whoever comes.
    drop(pool.room().await.unwrap());
}

#[tokio::test]
async fn who_gives_up_is_passed_over() {
    let pool = pool(1, 10);
    let taken = pool.room().await.unwrap();
    let mut impatient = Box::pin(pool.room());
    assert!(poll!(impatient.as_mut()).is_pending());
    let mut patient = Box::pin(pool.room());
    assert!(poll!(patient.as_mut()).is_pending());
    drop(impatient);
    drop(taken);
    drop(patient.await.unwrap());
    // A place that was granted and not taken comes back.
    let taken = pool.room().await.unwrap();
    let mut granted = Box::pin(pool.room());
    assert!(poll!(granted.as_mut()).is_pending());
    drop(taken);
    drop(granted);
    drop(pool.room().await.unwrap());
}

#[tokio::test]
async fn the_line_has_an_end_and_patience_too() {
    let pool = pool(1, 1);
    let taken = pool.room().await.unwrap();
    let mut waiting = Box::pin(pool.room());
    assert!(poll!(waiting.as_mut()).is_pending());
    assert_eq!(pool.room().await.err(), Some(NoRoom::Full));
    drop((taken, waiting));
    let pool = patient(1, 1, Duration::from_millis(50));
    let taken = pool.room().await.unwrap();
    assert_eq!(pool.room().await.err(), Some(NoRoom::Timeout));
    drop(taken);
}

#[tokio::test]
async fn pools_of_other_logins_are_other_pools() {
    let pools = Pools::new(config::Pool {
        size: 1,
        ..config::Pool::default()
    });
    let one = pools.of("db", "login").room().await.unwrap();
    drop(pools.of("db", "other").room().await.unwrap());
    drop(pools.of("other", "login").room().await.unwrap());
    drop(one);
}

#[test]
fn who_starts_alike_shares() {
    let pool = pool(1, 1);
    let with = |value: &str| pool.start(vec![("a".to_owned(), value.to_owned())], None);
    let start = with("1");
    assert!(Arc::ptr_eq(&start, &with("1")));
    assert!(!Arc::ptr_eq(&start, &with("2")));
}
