//! Keys and their files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::world::{World, mode, refused, said};

#[test]
fn a_key_is_for_its_owner_only() {
    let world = World::new();
    let output = world.command().args(["keygen", "new/dir/my.key"]).output().unwrap();
    let public = said(output);
    assert_eq!(public.len(), 64);
    assert_eq!(mode(&world.path("new/dir/my.key")), 0o600);
    assert_eq!(mode(&world.path("new/dir")), 0o700);
    assert_eq!(mode(&world.path("new")), 0o700);
    assert!(!fs::read_to_string(world.path("new/dir/my.key")).unwrap().contains(&public));
}

#[test]
fn without_a_path_it_goes_where_commands_look_for_it() {
    let world = World::new();
    let public = said(world.command().args(["-q", "keygen"]).output().unwrap());
    assert_eq!(mode(&world.path(".config/syncline/key")), 0o600);
    let output = world.command().args(["--dir", "a", "--json", "kv", "init", "--name", "n"]).output().unwrap();
    assert!(said(output).contains(&public), "it is the root of a namespace that names none");
}

#[test]
fn a_key_is_replaced_only_by_force() {
    let world = World::new();
    let first = world.key("my");
    let before = fs::read(world.path("my.key")).unwrap();
    let text = refused(5, world.command().args(["keygen", "my.key"]).output().unwrap());
    assert!(text.contains("my.key is there already") && text.contains("--force"), "{text}");
    assert_eq!(fs::read(world.path("my.key")).unwrap(), before);
    let second = said(world.command().args(["-q", "keygen", "--force", "my.key"]).output().unwrap());
    assert_ne!(first, second);
    assert_eq!(mode(&world.path("my.key")), 0o600);
    assert_ne!(fs::read(world.path("my.key")).unwrap(), before);
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let world = World::with_namespace();
    for bits in [0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(world.path("root.key"), Permissions::from_mode(bits)).unwrap();
        let text = world.fails(3, "a", "root", &["kv", "put", "/a", "1"]);
        assert!(text.contains("run: chmod 600 root.key"), "{text}");
    }
    fs::set_permissions(world.path("root.key"), Permissions::from_mode(0o400)).unwrap();
    world.ok("a", "root", &["kv", "put", "/a", "1"]);
}

#[test]
fn what_is_no_key_is_said_to_be_none() {
    let world = World::with_namespace();
    fs::write(world.path("list.key"), "my shopping list").unwrap();
    fs::set_permissions(world.path("list.key"), Permissions::from_mode(0o600)).unwrap();
    let text = world.fails(2, "a", "list", &["kv", "put", "/a", "1"]);
    assert!(text.contains("no key") && !text.contains("shopping"), "{text}");
    let text = world.fails(4, "a", "nobody", &["kv", "put", "/a", "1"]);
    assert!(text.contains("syncline keygen"), "{text}");
    fs::create_dir(world.path("dir.key")).unwrap();
    world.fails(2, "a", "dir", &["kv", "put", "/a", "1"]);
}

#[test]
fn a_secret_in_place_of_a_file_is_not_repeated() {
    let world = World::with_namespace();
    let file = fs::read_to_string(world.path("root.key")).unwrap();
    let hex = file.split_whitespace().last().unwrap();
    for given in [file.trim_end(), hex] {
        let mut command = world.command();
        let output = command.env("SYNCLINE_KEY", given).args(["--dir", "a", "kv", "put", "/a", "1"]).output().unwrap();
        let text = refused(2, output);
        assert!(text.contains("the name of a file"), "{text}");
        assert!(!text.contains(hex), "{text}");
    }
    let output = world.command().env("SYNCLINE_KEY", hex).args(["kv", "put", "--help"]).output().unwrap();
    assert!(!said(output).contains(hex), "help does not show it either");
}
