//! Where the sources of a program are on this machine, without being told: by what its build info says of modules, versions and release.
//!
//! In order: the user's rules; the recorded path itself; GOROOT, of the release that built the program if it is here, for the standard
//! library; the module cache and a vendor folder for dependencies; the work tree around the current folder, if it is of the same
//! main module, for the program's own files. Nothing is run and nothing is fetched.

use crate::model::BuildFacts;
use std::path::{Path, PathBuf};

/// How a file was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// A rule of the user's.
    Rule,
    /// Where the compiler recorded it.
    Recorded,
    /// In the standard library of the release that built the program.
    Goroot,
    /// In that of another release: lines may differ.
    OtherGoroot,
    /// In the module cache.
    ModuleCache,
    /// In a folder that replaces a module.
    Replaced,
    /// In a vendor folder.
    Vendor,
    /// In the work tree.
    WorkTree,
    /// In the work tree, by the end of its path.
    WorkTreeByEnd,
}

impl How {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            How::Rule => "by a rule",
            How::Recorded => "as recorded",
            How::Goroot => "GOROOT",
            How::OtherGoroot => "GOROOT of another release",
            How::ModuleCache => "module cache",
            How::Replaced => "replaced module",
            How::Vendor => "vendor",
            How::WorkTree => "work tree",
            How::WorkTreeByEnd => "work tree, by the end of the path",
        }
    }
}

/// Folders of this machine where sources may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Go distributions and their releases (`go1.26.8`), the program's first.
    pub goroots: Vec<(PathBuf, String)>,
    /// Module cache.
    pub cache: Option<PathBuf>,
    /// Folder of the nearest go.mod around the current folder, and its module.
    pub tree: Option<(PathBuf, String)>,
    /// Commit at which that tree is, where it is git's.
    pub revision: Option<String>,
}

impl Places {
    /// Looks around. `env` reads the environment.
    pub fn look(build: &BuildFacts, cwd: &Path, env: &dyn Fn(&str) -> Option<String>) -> Places {
        let home = env("HOME").map(PathBuf::from);
        let gopath = env("GOPATH").and_then(|p| p.split(':').next().map(PathBuf::from));
        let gopath = gopath.or_else(|| Some(home.as_ref()?.join("go")));
        let cache =
            env("GOMODCACHE").map(PathBuf::from).or_else(|| Some(gopath?.join("pkg/mod"))).filter(|p| p.is_dir());
        let release = build.go.as_str();
        let mut roots: Vec<PathBuf> = Vec::new();
        if let Some(c) = &cache {
            roots.push(c.join(format!("golang.org/toolchain@v0.0.1-{release}.linux-amd64")));
        }
        roots.extend(env("GOROOT").map(PathBuf::from));
        let on_path = env("PATH").unwrap_or_default();
        let installed = on_path.split(':').map(|d| Path::new(d).join("go")).find_map(|p| p.canonicalize().ok());
        roots.extend(installed.and_then(|p| Some(p.parent()?.parent()?.to_path_buf())));
        roots.extend(home.map(|h| h.join("sdk").join(release)));
        roots.extend(["/usr/local/go", "/usr/lib/go", "/usr/lib/golang", "/opt/go"].map(PathBuf::from));
        let mut goroots: Vec<(PathBuf, String)> = Vec::new();
        for r in roots {
            let version = std::fs::read_to_string(r.join("VERSION")).unwrap_or_default();
            let version = version.lines().next().unwrap_or_default().trim().to_string();
            if version.starts_with("go") && !goroots.iter().any(|g| g.0 == r) {
                goroots.push((r, version));
            }
        }
        goroots.sort_by_key(|g| g.1 != release);
        let tree = cwd.ancestors().find_map(|d| Some((d.to_path_buf(), module_of(&d.join("go.mod"))?)));
        let revision = tree.as_ref().and_then(|t| revision(&t.0));
        Places { goroots, cache, tree, revision }
    }
}

/// The `module` line of a go.mod.
fn module_of(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|l| l.trim().strip_prefix("module "))?;
    Some(line.split("//").next()?.trim().trim_matches('"').to_string())
}

/// The commit that a git work tree has checked out.
fn revision(dir: &Path) -> Option<String> {
    let dot = dir.ancestors().map(|d| d.join(".git")).find(|g| g.exists())?;
    let git = match dot.is_dir() {
        true => dot,
        // A linked work tree: the file says where its own part is.
        false => dir.join(std::fs::read_to_string(&dot).ok()?.strip_prefix("gitdir:")?.trim()),
    };
    let common = std::fs::read_to_string(git.join("commondir")).map_or_else(|_| git.clone(), |c| git.join(c.trim()));
    let head = std::fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(reference) = head.trim().strip_prefix("ref: ") else { return Some(head.trim().to_string()) };
    let loose = [&git, &common].iter().find_map(|g| std::fs::read_to_string(g.join(reference)).ok());
    loose.map(|l| l.trim().to_string()).or_else(|| {
        let packed = std::fs::read_to_string(common.join("packed-refs")).ok()?;
        packed.lines().find_map(|l| Some(l.strip_suffix(reference)?.trim().to_string()))
    })
}

/// A module path as folders of the module cache spell it: capitals are marked.
fn escaped(path: &str) -> String {
    path.chars().fold(String::new(), |mut s, c| {
        if c.is_ascii_uppercase() {
            s.push('!');
        }
        s.push(c.to_ascii_lowercase());
        s
    })
}

/// Finds files.
#[derive(Clone, Debug, Default)]
pub struct Locator {
    /// What the program's build info says.
    pub build: BuildFacts,
    /// Where to look.
    pub places: Places,
}

impl Locator {
    /// The file here that a recorded path means; none if it is not here.
    pub fn find(&self, file: &str) -> Option<(PathBuf, How)> {
        let there = |p: PathBuf, how| p.is_file().then_some((p, how));
        if file.is_empty() || file.starts_with('<') {
            return None;
        }
        if file.starts_with('/')
            && let Some(found) = there(file.into(), How::Recorded)
        {
            return Some(found);
        }
        self.module(file).or_else(|| self.standard(file)).or_else(|| self.own(file))
    }

    /// `mod@version/rest`, behind any folders: `example.com/a@v1.2.3/x.go`, `/go/pkg/mod/example.com/a@v1.2.3/x.go`; `…/vendor/mod/rest`.
    fn module(&self, file: &str) -> Option<(PathBuf, How)> {
        let there = |p: PathBuf, how| p.is_file().then_some((p, how));
        let tree = self.places.tree.as_ref().filter(|t| self.is_main(&t.1)).map(|t| &t.0);
        let vendored = |rest: &str| there(tree?.join("vendor").join(rest), How::Vendor);
        if let Some((_, rest)) = file.rsplit_once("/vendor/") {
            return vendored(rest).or_else(|| {
                let (path, version) =
                    self.build.deps.iter().find(|d| rest.strip_prefix(&*d.0).is_some_and(|r| r.starts_with('/')))?;
                self.cached(path, version, &rest[path.len() + 1..])
            });
        }
        let (head, tail) = file.split_once('@')?;
        let (version, rest) = tail.split_once('/')?;
        let path = head.rsplit_once("/pkg/mod/").map_or(head, |h| h.1);
        if path == "golang.org/toolchain" {
            return None;
        }
        let replaced = || {
            let r = self.build.replaced.iter().find(|r| r.path == path && r.version == version)?;
            if r.by.starts_with(['.', '/']) {
                return there(tree?.join(r.by.trim_start_matches("./")).join(rest), How::Replaced);
            }
            self.cached(&r.by, &r.by_version, rest)
        };
        self.cached(path, version, rest).or_else(replaced).or_else(|| vendored(&format!("{path}/{rest}")))
    }

    fn cached(&self, path: &str, version: &str, rest: &str) -> Option<(PathBuf, How)> {
        let cache = self.places.cache.as_ref()?;
        // A path out of a module cache is escaped already.
        let folder = if path.contains('!') { path.to_string() } else { escaped(path) };
        let at = cache.join(format!("{folder}@{}", escaped(version))).join(rest);
        at.is_file().then_some((at, How::ModuleCache))
    }

    /// `fmt/print.go`, `/elsewhere/go/src/fmt/print.go`.
    fn standard(&self, file: &str) -> Option<(PathBuf, How)> {
        let inside = match file.strip_prefix('/') {
            None => file,
            Some(_) => file.rsplit_once("/src/")?.1,
        };
        // The standard library's paths have no dot in their first part.
        if inside.split('/').next()?.contains('.') || !inside.contains('/') {
            return None;
        }
        self.places.goroots.iter().find_map(|(root, version)| {
            let at = root.join("src").join(inside);
            let how = if *version == self.build.go { How::Goroot } else { How::OtherGoroot };
            at.is_file().then_some((at, how))
        })
    }

    fn is_main(&self, module: &str) -> bool {
        self.build.module.is_empty() || module == self.build.module
    }

    /// A file of the main module: by its path in the module (`-trimpath`), or by the longest end of its path that is there.
    fn own(&self, file: &str) -> Option<(PathBuf, How)> {
        let (root, module) = self.places.tree.as_ref().filter(|t| self.is_main(&t.1))?;
        if let Some(rest) = file.strip_prefix(&**module).and_then(|r| r.strip_prefix('/')) {
            let at = root.join(rest);
            return at.is_file().then_some((at, How::WorkTree));
        }
        let parts: Vec<&str> = file.split('/').filter(|p| !matches!(*p, "" | "." | "..")).collect();
        (0..parts.len()).find_map(|i| {
            let at = root.join(parts[i..].join("/"));
            at.is_file().then_some((at, How::WorkTreeByEnd))
        })
    }

    /// What is known of where sources are, a line each.
    pub fn describe(&self) -> Vec<String> {
        let mut out = Vec::new();
        match self.places.goroots.first() {
            Some((root, v)) if *v == self.build.go => out.push(format!("GOROOT       {} ({v})", root.display())),
            Some((root, v)) => out.push(format!(
                "GOROOT       {} ({v}; the program was built with {}, lines may differ)",
                root.display(),
                self.build.go
            )),
            None => out.push("GOROOT       none found: put `go` on PATH or set GOROOT".into()),
        }
        match &self.places.cache {
            Some(c) => out.push(format!("module cache {}", c.display())),
            None => out.push("module cache none found: set GOMODCACHE".into()),
        }
        let main = &self.build.module;
        match &self.places.tree {
            Some((root, m)) if self.is_main(m) => {
                out.push(format!("work tree    {} ({m}{})", root.display(), self.tree_state()));
            }
            Some((root, m)) => out.push(format!("work tree    {} is {m}, the program is {main}", root.display())),
            None => out.push(format!(
                "work tree    none: start adit inside {}",
                if main.is_empty() { "the module" } else { main }
            )),
        }
        out
    }

    /// How the work tree's commit and the program's compare.
    fn tree_state(&self) -> String {
        let short = |s: &str| s.chars().take(12).collect::<String>();
        let changed = if self.build.vcs_modified { ", built with uncommitted changes" } else { "" };
        match (&self.build.vcs_revision, &self.places.revision) {
            (b, Some(h)) if b == h => format!(", at the commit of the build{changed}"),
            (b, Some(h)) if !b.is_empty() => format!(", at {}, built from {}{changed}", short(h), short(b)),
            (b, None) if !b.is_empty() => format!(", built from {}{changed}", short(b)),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::target::Replacement;
    use std::fs;

    fn touch(p: &Path) {
        fs::create_dir_all(p.parent().expect("a folder")).expect("folders");
        fs::write(p, "package x\n").expect("a file");
    }

    #[test]
    fn every_way_to_record_a_path() {
        let top = std::env::temp_dir().join(format!("adit-locate-{}", std::process::id()));
        let (root, cache, tree) = (top.join("go1.26.8"), top.join("mod"), top.join("app"));
        touch(&root.join("src/fmt/print.go"));
        fs::write(root.join("VERSION"), "go1.26.8\ntime x\n").expect("VERSION");
        touch(&cache.join("github.com/!big/lib@v1.2.0/a.go"));
        touch(&cache.join("golang.org/x/net@v0.1.0/http2/h.go"));
        touch(&tree.join("cmd/app/main.go"));
        touch(&tree.join("depot/depot.go"));
        touch(&tree.join("vendor/example.com/v/v.go"));
        fs::write(tree.join("go.mod"), "module example.com/app // it\n").expect("go.mod");
        fs::create_dir_all(tree.join(".git/refs/heads")).expect("git");
        fs::write(tree.join(".git/HEAD"), "ref: refs/heads/main\n").expect("HEAD");
        fs::write(tree.join(".git/refs/heads/main"), "0123456789abcdef\n").expect("a ref");
        let build = BuildFacts {
            go: "go1.26.8".into(),
            module: "example.com/app".into(),
            deps: vec![("golang.org/x/net".into(), "v0.1.0".into())],
            replaced: vec![Replacement {
                path: "example.com/depot".into(),
                version: "v0.0.0".into(),
                by: "./depot".into(),
                by_version: String::new(),
            }],
            vcs_revision: "0123456789abcdef".into(),
            vcs_modified: false,
        };
        let env = |name: &str| match name {
            "GOROOT" => Some(root.display().to_string()),
            "GOMODCACHE" => Some(cache.display().to_string()),
            _ => None,
        };
        let places = Places::look(&build, &tree.join("cmd"), &env);
        let l = Locator { build, places };
        let found =
            |f: &str| l.find(f).map(|(p, how)| (p.strip_prefix(&top).expect("inside").display().to_string(), how));
        let is = |f: &str, at: &str, how| assert_eq!(found(f), Some((at.to_string(), how)), "{f}");
        is("fmt/print.go", "go1.26.8/src/fmt/print.go", How::Goroot);
        is("/opt/hosted/go/src/fmt/print.go", "go1.26.8/src/fmt/print.go", How::Goroot);
        is("github.com/Big/lib@v1.2.0/a.go", "mod/github.com/!big/lib@v1.2.0/a.go", How::ModuleCache);
        is(
            "/home/ci/go/pkg/mod/github.com/!big/lib@v1.2.0/a.go",
            "mod/github.com/!big/lib@v1.2.0/a.go",
            How::ModuleCache,
        );
        is("/ci/app/vendor/golang.org/x/net/http2/h.go", "mod/golang.org/x/net@v0.1.0/http2/h.go", How::ModuleCache);
        is("/ci/app/vendor/example.com/v/v.go", "app/vendor/example.com/v/v.go", How::Vendor);
        is("example.com/v@v1.0.0/v.go", "app/vendor/example.com/v/v.go", How::Vendor);
        is("example.com/depot@v0.0.0/depot.go", "app/depot/depot.go", How::Replaced);
        is("example.com/app/cmd/app/main.go", "app/cmd/app/main.go", How::WorkTree);
        is("/ci/build/app/cmd/app/main.go", "app/cmd/app/main.go", How::WorkTreeByEnd);
        is("./cmd/app/main.go", "app/cmd/app/main.go", How::WorkTreeByEnd);
        for none in ["", "<autogenerated>", "/ci/other.go", "github.com/Big/lib@v9.9.9/a.go", "no/such.go"] {
            assert_eq!(found(none), None, "{none}");
        }
        assert!(l.describe()[2].contains("at the commit of the build"), "{:?}", l.describe());
        let other =
            Locator { build: BuildFacts { go: "go1.27.0".into(), ..l.build.clone() }, places: l.places.clone() };
        assert_eq!(other.find("fmt/print.go").map(|f| f.1), Some(How::OtherGoroot));
        fs::remove_dir_all(&top).expect("removed");
    }
}
