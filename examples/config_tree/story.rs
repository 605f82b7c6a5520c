//! What happens, and that it happens as told.

use syncline::crypto::SigningKey;
use syncline::kv::authority::MintError;
use syncline::kv::item::{Namespace, OnRevoke, Ops};
use syncline::kv::{Key, KvError};

use crate::Result;
use crate::service::{Service, grant, now, put, wait_until_equal};

pub async fn run() -> Result<()> {
    let home = tempfile::tempdir()?;
    let [root, team, ann] = [new_key()?, new_key()?, new_key()?];
    let [for_api, for_billing, for_search] = [new_key()?, new_key()?, new_key()?];
    let readers = [&for_api, &for_billing, &for_search].map(SigningKey::public_key);
    let namespace = Namespace::new("production", [root.public_key()])?.with_on_revoke(OnRevoke::Fallback)?;

    println!("Three services, api, billing and search, each with a key, a database and a socket. One root.\n");
    let api = Service::start(home.path(), "api", for_api, &namespace, &[]).await?;
    for reader in readers {
        grant(api.tree(), &root, None, reader, (Ops::Read, "/**", 0))?;
    }
    let billing = Service::start(home.path(), "billing", for_billing, &namespace, &[&api]).await?;
    let search = Service::start(home.path(), "search", for_search, &namespace, &[&api, &billing]).await?;
    let services = [&api, &billing, &search];

    println!("The root sets a default at api. Each service follows what is below its own name:");
    for name in ["api", "billing", "search"] {
        put(&api, &root, &format!("/svc/{name}/limits/rps"), "100")?;
    }
    for service in services {
        service.wait_for(&[("limits/rps", "100")]).await?;
    }

    println!("\nThe root lets a team set all limits, and pass that on once: /svc/*/limits/**");
    let limits = grant(api.tree(), &root, None, team.public_key(), (Ops::Write, "/svc/*/limits/**", 1))?;
    wait_until_equal(services).await?;
    passing_on(&billing, &team, &ann, &limits)?;

    println!("\nThe team and Ann set limits, each at another service:");
    put(&billing, &team, "/svc/billing/limits/rps", "40")?;
    put(&billing, &team, "/svc/search/limits/results", "500")?;
    wait_until_equal(services).await?;
    put(&search, &ann, "/svc/api/limits/rps", "250")?;
    api.wait_for(&[("limits/rps", "250")]).await?;
    billing.wait_for(&[("limits/rps", "40")]).await?;
    search.wait_for(&[("limits/results", "500"), ("limits/rps", "100")]).await?;
    wait_until_equal(services).await?;

    println!("\nThe root looks at what it would end, and ends it:");
    let run = search.tree().dry_run(limits.id(), 100)?;
    assert_eq!((run.grants.len(), run.keys.len()), (2, 3), "the team's grant and Ann's, and what rests on them");
    println!("  {} grants and {} values", run.grants.len(), run.keys.len());
    search.tree().revoke(now(), &root, limits.id())?;
    for service in services {
        // What the root had set is back; what nobody else had is gone.
        service.wait_for(&[("limits/rps", "100")]).await?;
    }
    for (service, who) in [(&api, &team), (&billing, &ann)] {
        let key = Key::new("/svc/api/limits/rps")?;
        let refused = service.tree().put(now(), who, &key, &b"9999"[..]);
        assert!(matches!(refused, Err(KvError::Denied(_))), "whoever was let may do nothing any more, anywhere");
    }

    println!("\nIn the end:");
    wait_until_equal(services).await?;
    futures::try_join!(api.stop(), billing.stop(), search.stop())?;
    Ok(())
}

/// What one may not do oneself, one cannot let others do.
fn passing_on(at: &Service, team: &SigningKey, ann: &SigningKey, limits: &syncline::kv::Grant) -> Result<()> {
    println!("\nThe team lets Ann set limits of api. First it asks for too much, /svc/api/**:");
    match grant(at.tree(), team, Some(limits), ann.public_key(), (Ops::Write, "/svc/api/**", 0)) {
        Err(KvError::Mint(MintError::NotSubset { held, witness, .. })) => {
            assert!(!held.matches(&witness), "the witness is a key that the team may not set");
            println!("  refused: it has {held}, which {witness} is not in");
        }
        other => return Err(format!("a grant that is too wide was not refused for that: {other:?}").into()),
    }
    grant(at.tree(), team, Some(limits), ann.public_key(), (Ops::Write, "/svc/api/limits/*", 0))?;
    println!("  /svc/api/limits/* is within it, and is granted");
    Ok(())
}

fn new_key() -> Result<SigningKey> {
    let mut secret = [0; SigningKey::LEN];
    getrandom::fill(&mut secret)?;
    Ok(SigningKey::from_bytes(&secret))
}
