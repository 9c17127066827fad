//! Where things are kept where nothing says so.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::{Config, Env};

const SYSTEM_ROOT: &str = "/var/lib/benchlab";
const SYSTEM_RUNTIME: &str = "/run/benchlab";

/// What a default may depend on besides other keys.
pub struct Surroundings<'a> {
    /// Looks an environment variable up.
    pub env: Env<'a>,
    /// Whether the process runs as root.
    pub root: bool,
    /// Whether it may write in `/var/lib/benchlab`.
    pub system_root_writable: bool,
    /// The host's name.
    pub host: String,
}

impl<'a> Surroundings<'a> {
    /// Those of this process, with `env` for its environment.
    pub fn of_process(env: Env<'a>) -> Self {
        Self {
            env,
            root: rustix::process::geteuid().is_root(),
            system_root_writable: access(SYSTEM_ROOT, Access::WRITE_OK).is_ok(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        }
    }

    /// A folder from a variable; relative ones are ignored, as the XDG base directory specification demands.
    fn folder(&self, variable: &str) -> Option<PathBuf> {
        (self.env)(variable).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    /// Where sessions are kept.
    pub(super) fn data_root(&self) -> PathBuf {
        if self.root || self.system_root_writable {
            return SYSTEM_ROOT.into();
        }
        let share = || Some(self.folder("HOME")?.join(".local/share"));
        match self.folder("XDG_DATA_HOME").or_else(share) {
            Some(share) => share.join("benchlab"),
            None => SYSTEM_ROOT.into(),
        }
    }

    /// Where the sockets of running processes are.
    pub(super) fn runtime_dir(&self, data_root: &Path) -> PathBuf {
        // systemd gives a list with colons where a unit has several.
        let given = (self.env)("RUNTIME_DIRECTORY").and_then(|list| {
            let first = std::env::split_paths(&list).next()?;
            first.is_absolute().then_some(first)
        });
        given
            .or_else(|| Some(self.folder("XDG_RUNTIME_DIR")?.join("benchlab")))
            .or_else(|| self.root.then(|| SYSTEM_RUNTIME.into()))
            .unwrap_or_else(|| data_root.join("run"))
    }
}

/// The socket that stage events are sent to.
pub(super) fn events(config: &Config, _: &Surroundings<'_>) -> PathBuf {
    config.general.runtime_dir.join("bl.sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_follow_the_user_and_systemd() {
        let at = |variables: &[(&str, &str)], root, system_root_writable| {
            let env = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            };
            let here = Surroundings { env: &env, root, system_root_writable, host: String::new() };
            let data_root = here.data_root();
            let runtime_dir = here.runtime_dir(&data_root);
            format!("{} {}", data_root.display(), runtime_dir.display())
        };
        let user = [("HOME", "/home/u"), ("XDG_RUNTIME_DIR", "/run/user/7")];
        assert_eq!(at(&user, false, false), "/home/u/.local/share/benchlab /run/user/7/benchlab");
        assert_eq!(
            at(&user[..1], false, false),
            "/home/u/.local/share/benchlab /home/u/.local/share/benchlab/run"
        );
        let xdg = [("XDG_DATA_HOME", "/d"), ("HOME", "/home/u")];
        assert_eq!(at(&xdg, false, false), "/d/benchlab /d/benchlab/run");
        let relative = [("XDG_DATA_HOME", "d"), ("HOME", "/home/u")];
        assert_eq!(
            at(&relative, false, false),
            "/home/u/.local/share/benchlab /home/u/.local/share/benchlab/run"
        );
        assert_eq!(at(&[], true, true), "/var/lib/benchlab /run/benchlab");
        let service = [("RUNTIME_DIRECTORY", "/run/benchlab:/run/other")];
        assert_eq!(at(&service, false, true), "/var/lib/benchlab /run/benchlab");
    }
}
