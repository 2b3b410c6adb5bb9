//! The guide as its reader follows it: every console block of every page, in
//! order, on a lab of its own; what a page shows as output must come out.
//!
//! A block after `<!-- not run: REASON -->` is left out. Lines between what is
//! shown may be left out with `…`.

use std::process::Command;
use std::time::Duration;

use crate::cloud::Cloud;
use crate::said::{Said, program, run, tell, wait};

/// What every reader comes by; the first takes its cloud away at its end.
const PAGES: [&str; 3] = ["first-cloud.md", "changes.md", "power-cut.md"];
/// What is read when it is wanted.
const MORE: [&str; 2] = ["backup.md", "architectures.md"];
/// A host that was just switched on is not there at once.
const BOOTS: Duration = Duration::from_mins(2);

/// A command, and what the page shows below it.
pub struct Shown {
    pub command: String,
    pub output: Vec<String>,
}

#[test]
#[ignore = "lab"]
fn the_guide_is_true() {
    let reader = Reader::new("st-guide", 21);
    let (first, rest) = PAGES.split_first().unwrap();
    reader.page(first);
    assert_eq!(lab::residue(&reader.cloud.name).unwrap(), Vec::<String>::new());
    reader.begin();
    for page in rest {
        reader.page(page);
    }
}

#[test]
#[ignore = "lab"]
fn long_the_rest_of_the_guide_is_true() {
    let reader = Reader::new("st-guide2", 19);
    reader.begin();
    for page in MORE {
        reader.page(page);
    }
}

/// Who follows the guide, in a folder of their own.
struct Reader {
    cloud: Cloud,
    folder: std::path::PathBuf,
    net: u8,
}

impl Reader {
    fn new(name: &str, net: u8) -> Self {
        let cloud = Cloud::new(name, net);
        let folder = cloud.file().parent().unwrap().to_owned();
        fs_err::create_dir_all(folder.join("examples")).unwrap();
        fs_err::create_dir_all(folder.join("bin")).unwrap();
        fs_err::os::unix::fs::symlink(program(), folder.join("bin/quorate")).unwrap();
        let example = "examples/three-controllers.yaml";
        let text = fs_err::read_to_string(folder_of_the_repository().join(example)).unwrap();
        let reader = Self { cloud, folder, net };
        fs_err::write(reader.folder.join(example), reader.ours(&text)).unwrap();
        reader
    }

    /// The pages' cloud under a name and in a network of our own: a reader's own lab
    /// of that name stays as it is.
    fn ours(&self, text: &str) -> String {
        text.replace("demo", &self.cloud.name)
            .replace("198.18.0.", &format!("198.18.{}.", self.net))
    }

    /// The cloud of the first page.
    fn begin(&self) {
        let up = "quorate lab up examples/three-controllers.yaml && \
            quorate apply --yes examples/three-controllers.yaml";
        let shown = Shown {
            command: up.to_owned(),
            output: vec![],
        };
        compare("the beginning", &shown, &follow(&self.folder, &shown, false));
    }

    fn page(&self, page: &str) {
        let path = folder_of_the_repository().join("docs/guide").join(page);
        let all = blocks(&self.ours(&fs_err::read_to_string(path).unwrap()));
        assert!(all.len() > 3, "{page}: {} commands", all.len());
        let mut booting = false;
        for shown in all {
            let said = follow(&self.folder, &shown, booting);
            tell(&format!(
                "{page}: {} ({:.1} s)",
                shown.command.lines().next().unwrap(),
                said.took.as_secs_f64()
            ));
            booting = shown.command.contains("lab on") || shown.command.contains("lab plug");
            compare(page, &shown, &said);
        }
    }
}

pub fn folder_of_the_repository() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned()
}

/// The commands of a page's console blocks.
pub fn blocks(page: &str) -> Vec<Shown> {
    let mut found: Vec<Shown> = vec![];
    let (mut inside, mut left_out) = (false, false);
    for line in page.lines() {
        if line.starts_with("<!-- not run: ") {
            left_out = true;
        } else if line == "```console" {
            inside = true;
        } else if line == "```" {
            inside = false;
            left_out = false;
        } else if inside && !left_out {
            let open = found
                .last()
                .is_some_and(|s| s.output.is_empty() && !whole(&s.command));
            if let (Some(shown), true) = (found.last_mut(), open) {
                shown.command = format!("{}\n{line}", shown.command);
            } else if let Some(command) = line.strip_prefix("# ").or_else(|| line.strip_prefix("$ ")) {
                found.push(Shown {
                    command: command.to_owned(),
                    output: vec![],
                });
            } else if !line.trim().is_empty() {
                found.last_mut().unwrap().output.push(line.trim_end().to_owned());
            }
        }
    }
    found
}

/// Whether the shell would not ask for more lines.
fn whole(command: &str) -> bool {
    if command.ends_with('\\') {
        return false;
    }
    // A here-document without its end is only warned of.
    let said = Command::new("bash").args(["-n", "-c", command]).output().unwrap();
    said.status.success() && said.stderr.is_empty()
}

/// Does what the page says; what asks is on a terminal and is told yes.
fn follow(folder: &std::path::Path, shown: &Shown, booting: bool) -> Said {
    // What never ends, its reader ends.
    let limit = if shown.command.starts_with("while ") {
        "3"
    } else {
        "400"
    };
    fs_err::write(folder.join("command"), &shown.command).unwrap();
    let folder = folder.display();
    // Exported variables live on from one command to the next.
    let command =
        format!("timeout --foreground {limit} bash -c '. ./command; e=$?; export -p >env; exit $e'");
    let asks = ["quorate apply ", "quorate recover "];
    let command = if asks.iter().any(|verb| shown.command.starts_with(verb)) {
        fs_err::write(format!("{folder}/terminal"), command).unwrap();
        "printf 'y\n' | script --quiet --return --command 'sh ./terminal' /dev/null".to_owned()
    } else {
        command
    };
    let script = format!(
        "cd '{folder}' && touch env && . ./env && export PATH='{folder}/bin':\"$PATH\" NO_COLOR=1 && {command}"
    );
    let once = || run(std::path::Path::new("bash"), &["-c", &script]);
    if !booting {
        return once();
    }
    let mut look = || {
        let said = once();
        if said.ok() {
            Ok(said)
        } else {
            Err(said.to_string())
        }
    };
    wait(BOOTS, &mut look).unwrap_or_else(|last| panic!("{last}"))
}

/// Shown lines come out, in their order; what shows nothing ends well.
#[track_caller]
pub fn compare(page: &str, shown: &Shown, said: &Said) {
    let out = said.all().replace('\r', "");
    let mut lines = out.lines().map(str::trim_end);
    for wanted in shown.output.iter().filter(|l| l.trim() != "…") {
        assert!(
            lines.any(|line| line == wanted),
            "{page}: `{}` does not say {wanted:?}, but:\n{said}",
            shown.command
        );
    }
    let ended = shown.command.starts_with("while ") && said.code == Some(124);
    assert!(said.ok() || ended || !shown.output.is_empty(), "{page}: {said}");
}
