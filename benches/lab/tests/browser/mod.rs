//! Chromium without a window.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Starts Chromium once for each look, each time with a profile of its own.
pub(crate) struct Browser {
    program: String,
    folder: PathBuf,
}

/// A part of the page, in pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rect {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Rect {
    pub(crate) fn right(&self) -> f64 {
        self.left + self.width
    }
}

/// Where things are on the page.
pub(crate) struct Layout {
    /// Pixels that the page needs across.
    pub(crate) scroll_width: u32,
    height: u32,
    /// The drawings, by the ids of their figures.
    pub(crate) plots: Vec<(String, Rect)>,
}

/// What the page looks like.
pub(crate) struct Picture {
    width: usize,
    rgb: Vec<[u8; 3]>,
}

impl Picture {
    fn read(path: &Path) -> Self {
        let file = std::io::BufReader::new(fs::File::open(path).expect("the picture is there"));
        let mut decoder = png::Decoder::new(file);
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().expect("a PNG");
        let mut bytes = vec![0; reader.output_buffer_size().expect("a picture that fits")];
        let info = reader.next_frame(&mut bytes).expect("a PNG");
        let samples = info.color_type.samples();
        assert!(samples >= 3, "the picture has colours");
        let rgb = bytes.chunks_exact(samples).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Self { width: info.width as usize, rgb }
    }

    pub(crate) fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        self.rgb[y * self.width + x]
    }

    /// Pixels of a colour.
    pub(crate) fn count(&self, rect: &Rect, colour: [u8; 3]) -> usize {
        let (left, right) = (rect.left as usize, rect.right() as usize);
        let (top, bottom) = (rect.top as usize, (rect.top + rect.height) as usize);
        let is_near = |pixel: [u8; 3]| pixel.iter().zip(colour).all(|(&one, other)| one.abs_diff(other) < 24);
        let pixels = (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y)));
        pixels.filter(|&(x, y)| is_near(self.pixel(x, y))).count()
    }
}

/// Writes into the outer page where things are on the inner one.
const MEASURE: &str = r#"<pre id="layout"></pre><script>
addEventListener("load", () => {
  const frame = document.querySelector("iframe"), inner = frame.contentDocument.documentElement;
  const lines = [`page ${inner.scrollWidth} ${inner.scrollHeight}`];
  for (const svg of inner.querySelectorAll("figure.plot > svg")) {
    const { left, top, width, height } = svg.getBoundingClientRect();
    lines.push(`plot ${svg.parentElement.id} ${left} ${top} ${width} ${height}`);
  }
  document.getElementById("layout").textContent = lines.join("\n");
});
</script>"#;

impl Browser {
    pub(crate) fn new(folder: &Path) -> Self {
        let program = std::env::var("LAB_BROWSER").unwrap_or_else(|_| "chromium".into());
        Self { program, folder: folder.to_owned() }
    }

    /// Lays out a page at this width and takes a picture of all of it.
    pub(crate) fn look(&self, page: &str, width: u32, flags: &[&str]) -> (Layout, Picture) {
        // A scroll bar would leave less room for the layout than there is in the picture.
        let flags = [flags, &["--hide-scrollbars"]].concat();
        let dom = self.start(&self.frame(page, width, 800), width, 800, &[&flags[..], &["--dump-dom"]].concat());
        let layout = layout(&String::from_utf8(dom).expect("text"));
        let picture = self.folder.join("picture.png");
        let screenshot = format!("--screenshot={}", picture.display());
        let frame = self.frame(page, width, layout.height);
        self.start(&frame, width, layout.height, &[&flags[..], &[&screenshot]].concat());
        (layout, Picture::read(&picture))
    }

    /// Prints a page into a PDF.
    pub(crate) fn print(&self, page: &str) -> Vec<u8> {
        let path = self.folder.join("print.html");
        fs::write(&path, page).expect("the folder can be written to");
        let pdf = self.folder.join("page.pdf");
        self.start(&path, 800, 600, &[&format!("--print-to-pdf={}", pdf.display())]);
        fs::read(pdf).expect("the PDF is there")
    }

    /// Chromium has no windows narrower than 500 pixels; a frame has any width.
    fn frame(&self, page: &str, width: u32, height: u32) -> PathBuf {
        let inner = page.replace('&', "&amp;").replace('"', "&quot;");
        let html = format!(
            "<!doctype html><body style=\"margin:0\"><iframe srcdoc=\"{inner}\" \
             style=\"display:block;border:0;width:{width}px;height:{height}px\"></iframe>{MEASURE}"
        );
        let path = self.folder.join("frame.html");
        fs::write(&path, html).expect("the folder can be written to");
        path
    }

    /// Opens a file, and gives what the browser prints.
    fn start(&self, file: &Path, width: u32, height: u32, flags: &[&str]) -> Vec<u8> {
        let profile = tempfile::tempdir().expect("a folder");
        let (out, err) = (self.folder.join("browser.out"), self.folder.join("browser.err"));
        let open = |path: &Path| Stdio::from(fs::File::create(path).expect("the folder can be written to"));
        let mut browser = Command::new(&self.program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--force-device-scale-factor=1"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--window-size={},{}", width.max(500), height))
            .args(flags)
            .arg(format!("file://{}", file.display()))
            .stdout(open(&out))
            .stderr(open(&err))
            .spawn()
            .unwrap_or_else(|err| panic!("{} does not start ({err}); .ci/lab-page installs it", self.program));
        let deadline = Instant::now() + Duration::from_secs(120);
        let status = loop {
            if let Some(status) = browser.try_wait().expect("the browser can be waited for") {
                break status;
            }
            if Instant::now() > deadline {
                browser.kill().expect("the browser can be ended");
                panic!("the browser did not end: {}", fs::read_to_string(&err).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "the browser failed: {}", fs::read_to_string(&err).unwrap_or_default());
        fs::read(out).expect("the browser's output is there")
    }
}

fn layout(dom: &str) -> Layout {
    let lines = dom.split("<pre id=\"layout\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let lines = lines.expect("the page was measured");
    let mut layout = Layout { scroll_width: 0, height: 0, plots: Vec::new() };
    for line in lines.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<f64>().expect("a number");
        match words[0] {
            "page" => (layout.scroll_width, layout.height) = (number(1) as u32, number(2) as u32),
            "plot" => {
                let rect = Rect { left: number(2), top: number(3), width: number(4), height: number(5) };
                layout.plots.push((words[1].to_owned(), rect));
            }
            other => panic!("{other} is no measure"),
        }
    }
    assert!(layout.height > 0 && layout.height < 16_000, "the page is {} high", layout.height);
    layout
}
