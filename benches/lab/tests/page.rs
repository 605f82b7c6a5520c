//! The page as people see it: written by the program, drawn by Chromium on a phone's width and on a desktop's.
//!
//! Needs Chromium, under the name `chromium` or the one in `LAB_BROWSER`; `.ci/lab-page` installs it. Without it the test
//! fails: a page that was not looked at was not tested.

mod browser;

use std::path::Path;
use std::process::Command;

use browser::{Browser, Picture, Rect};

/// Workloads on the page.
const WORKLOADS: usize = 5;

/// Runs `cargo lab run` and gives the page.
fn page(folder: &Path) -> String {
    const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let workloads = format!("cold,both-ways,{EXAMPLES}/workload.toml,kv-both-ways,{EXAMPLES}/kv-workload.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_syncline-lab"))
        .args(["run", "--quick", "--link", "rtt=50ms,down=10mbit,up=2mbit"])
        .args(["--protocol", "log-v1,p2panda-0.3,kv,kv-prefix", "--workload", &workloads, "--out"])
        .arg(folder)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let terminal = String::from_utf8_lossy(&output.stdout);
    assert_eq!(terminal.lines().filter(|line| line.contains("p2panda-0.3")).count(), 3, "{terminal}");
    assert_eq!(terminal.lines().filter(|line| line.contains("kv-prefix")).count(), 2, "{terminal}");
    for (file, lines) in [("outcomes.csv", 1 + 10), ("rtt.csv", 1 + 50), ("difference.csv", 1 + 20)] {
        let text = std::fs::read_to_string(folder.join(file)).expect("the file is there");
        assert_eq!(text.lines().count(), lines, "{file}");
    }
    let json = std::fs::read_to_string(folder.join("run.json")).expect("the file is there");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["outcomes"].as_array().map(Vec::len), Some(10));
    std::fs::read_to_string(folder.join("index.html")).expect("the page is there")
}

/// The value of a custom property in the style sheet's first, light set.
fn colour(page: &str, name: &str) -> [u8; 3] {
    let at = page.find(&format!("{name}: #")).expect("the colour is defined") + name.len() + 3;
    let digits: Vec<u8> = page[at..].bytes().take_while(u8::is_ascii_hexdigit).collect();
    let digit = |at: usize| (digits[at] as char).to_digit(16).expect("a digit") as u8;
    if digits.len() == 3 {
        [0, 1, 2].map(|at| digit(at) * 17)
    } else {
        [0, 2, 4].map(|at| digit(at) * 16 + digit(at + 1))
    }
}

/// The series whose marks are in a plot: the protocols of the plot's kind. The first three workloads are logs.
fn series(plot: &str) -> [&'static str; 2] {
    let is_kv = plot.starts_with("kv-") || plot.ends_with("-3") || plot.ends_with("-4");
    if is_kv { ["--s2", "--s3"] } else { ["--s0", "--s1"] }
}

/// The plots in which not every protocol can be seen.
fn blank(page: &str, picture: &Picture, plots: &[(String, Rect)]) -> Vec<String> {
    // A session may need no memory worth a page of it; then there is no bar.
    let plots = plots.iter().filter(|(id, _)| !id.starts_with("memory"));
    let card = colour(page, "--card");
    // The second part of a bar lets the card shine through.
    let pale = |colour: [u8; 3]| {
        let blend = |at: usize| (0.55 * f64::from(colour[at]) + 0.45 * f64::from(card[at])) as u8;
        [0, 1, 2].map(blend)
    };
    let seen = |rect: &Rect, colour| picture.count(rect, colour) + picture.count(rect, pale(colour));
    let is_blank = |id: &str, rect: &Rect| series(id).iter().any(|name| seen(rect, colour(page, name)) < 20);
    plots.filter(|(id, rect)| is_blank(id, rect)).map(|(id, _)| id.clone()).collect()
}

#[test]
fn every_plot_is_seen_on_a_phone_and_on_a_desktop() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = page(folder.path());
    let browser = Browser::new(folder.path());
    let hidden = page.replace("</style>", ".mark, .line { visibility: hidden }</style>");
    let sweeps = ["difference-time", "difference-bytes", "kv-difference-time", "kv-difference-bytes"];
    let mut ids = sweeps.map(str::to_owned).to_vec();
    for kind in ["bytes", "rtt", "cpu", "memory"] {
        ids.extend((0..WORKLOADS).map(|at| format!("{kind}-{at}")));
    }
    ids.sort();
    for width in [390, 1200] {
        let (layout, picture) = browser.look(&page, width, &[]);
        assert!(layout.scroll_width <= width, "{width} wide, and {} is needed", layout.scroll_width);
        let mut found: Vec<&str> = layout.plots.iter().map(|(id, _)| id.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, ids);
        for (id, rect) in &layout.plots {
            // Texts of 12 units in a plot of 360 units: at least 10 pixels high.
            assert!(rect.width >= 300.0 && rect.right() <= f64::from(width), "{id} at {width}: {rect:?}");
        }
        assert_eq!(blank(&page, &picture, &layout.plots), Vec::<String>::new(), "at {width}");
        // The same check does find plots without their marks.
        let (layout, picture) = browser.look(&hidden, width, &[]);
        assert_eq!(blank(&page, &picture, &layout.plots).len(), ids.len() - WORKLOADS, "at {width}");
    }
    let (layout, dark) = browser.look(&page, 390, &["--blink-settings=preferredColorScheme=0"]);
    let background = dark.pixel(2, 2);
    assert!(background.iter().all(|&part| part < 60), "dark is {background:?}");
    assert!(layout.scroll_width <= 390);
    let pdf = browser.print(&page);
    assert!(pdf.starts_with(b"%PDF-") && pdf.len() > 10_000, "{} bytes", pdf.len());
}
