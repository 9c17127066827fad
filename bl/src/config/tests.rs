//! Precedence, the older tool's names, every kind of error, secrets, reloading.

use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

/// A configuration file in a folder of its own.
struct Given {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
    flags: Overrides,
}

impl Given {
    fn file(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        let variables = vec![("HOME", "/home/u".to_owned())];
        Self { folder, variables, flags: Overrides::default() }
    }

    fn nothing() -> Self {
        Self::file("")
    }

    fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    fn flag(mut self, flag: &'static str, key: &'static str, value: &str) -> Self {
        self.flags.set(flag, key, Some(value));
        self
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    fn with<T>(&self, work: impl Fn(&Sources<'_>) -> T) -> T {
        let env = |name: &str| {
            let found = self.variables.iter().rev().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        };
        work(&Sources {
            file: None,
            system_file: self.path(),
            env: &env,
            flags: self.flags.clone(),
        })
    }

    fn load(&self) -> Config {
        self.with(Config::load).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The error's text, with the folder left out.
    fn refused(&self) -> String {
        let error = self.with(Config::load).unwrap_err();
        error.to_string().replace(&format!("{}/", self.folder.path().display()), "")
    }
}

fn shown(config: &Config) -> Vec<(&'static str, serde_json::Value)> {
    KEYS.iter().map(|key| (key.path, (key.show)(config))).collect()
}

/// All keys of BENCHLAB.LinuxTelemetry's file, in its sections.
const OLDER_FILE: &str = r#"
[general]
data_root = "/srv/bench"
sample_hz = 25
node_name = "rig-7"
[gpu]
provider = "nvml"
device_index = 1
[cpu]
enable_rapl = false
[benchlab]
device = "/dev/ttyACM3"
baud = 9600
calibration_interval_sec = 30
[benchlab_sdk]
http_endpoint = "http://localhost:8081/"
api_key = "k-17"
device_timeout_ms = 1500
enable_multi_device = true
enable_rgb_feedback = true
enable_auto_fan_control = true
fan_temp_threshold_c = 55.5
fan_min_duty = 60
fan_max_duty = 250
[pipeline]
stage_a = "in"
stage_b = "out"
[cx_export]
enabled = true
watch_dir = "/mnt/cx"
application_name = "Rig:Video"
[prometheus]
bind = "0.0.0.0:9200"
[retention]
days = 30
raw_keep_days = 3
"#;

#[test]
fn every_key_of_the_older_tool_is_accepted() {
    let config = Given::file(OLDER_FILE).load();
    assert_eq!(config.general.data_root, Path::new("/srv/bench"));
    assert_eq!(config.general.sample_hz, 25.0);
    assert_eq!(config.general.node_name, "rig-7");
    assert_eq!((config.gpu.provider, &config.gpu.device_index), (GpuProvider::Nvml, &vec![1]));
    assert_eq!(config.gpu.hz, 25.0);
    assert!(!config.cpu.enable_rapl);
    assert_eq!(config.benchlab.device, ["/dev/ttyACM3"]);
    assert_eq!((config.benchlab.baud, config.benchlab.calibration_interval_sec), (9600, 30));
    let sdk = &config.benchlab_sdk;
    assert_eq!(sdk.http_endpoint.as_deref(), Some("http://localhost:8081"));
    assert_eq!(sdk.api_key.as_ref().unwrap().expose(), "k-17");
    assert_eq!(sdk.device_timeout_ms, 1500);
    assert!(sdk.enable_multi_device && sdk.enable_rgb_feedback && sdk.enable_auto_fan_control);
    assert_eq!((sdk.fan_temp_threshold_c, sdk.fan_min_duty, sdk.fan_max_duty), (55.5, 60, 250));
    assert_eq!(config.pipeline.pairs, [("in".to_owned(), "out".to_owned())]);
    assert_eq!(
        (config.cx_export.stage_a.as_str(), config.cx_export.stage_b.as_str()),
        ("in", "out")
    );
    assert!(config.cx_export.enabled);
    assert_eq!(config.cx_export.watch_dir.as_deref(), Some(Path::new("/mnt/cx")));
    assert_eq!(config.cx_export.application_name, "Rig:Video");
    assert_eq!(config.prometheus.bind.0.to_string(), "0.0.0.0:9200");
    assert_eq!((config.retention.days, config.retention.raw_keep_days), (30, 3));
}

#[test]
fn every_variable_of_the_older_tool_sets_its_key() {
    let config = Given::file(OLDER_FILE)
        .env("BENCHLAB_DATA_ROOT", "rel/root")
        .env("BENCHLAB_SAMPLE_HZ", "12.5")
        .env("BENCHLAB_DEVICE", "/dev/ttyACM0,0123AB")
        .env("BENCHLAB_BAUD", "57600")
        .env("BENCHLAB_PROM", "[::1]:9109")
        .env("BENCHLAB_RETENTION_DAYS", "180")
        .env("BENCHLAB_RAW_KEEP_DAYS", "14")
        .env("BENCHLAB_GPU_INDEX", "2")
        .env("BENCHLAB_API_ENDPOINT", "https://rig.example:8443")
        .env("BENCHLAB_API_KEY", "k-env")
        .env("CX_STAGE_A", "encoded")
        .env("CX_STAGE_B", "inference_done")
        .env("CX_APP", "Other")
        .load();
    assert_eq!(config.general.data_root, Path::new("rel/root"));
    assert_eq!(config.general.sample_hz, 12.5);
    assert_eq!(config.benchlab.device, ["/dev/ttyACM0", "0123AB"]);
    assert_eq!(config.benchlab.baud, 57_600);
    assert_eq!(config.prometheus.bind.0.to_string(), "[::1]:9109");
    assert_eq!((config.retention.days, config.retention.raw_keep_days), (180, 14));
    assert_eq!(config.gpu.device_index, [2]);
    assert_eq!(config.benchlab_sdk.http_endpoint.as_deref(), Some("https://rig.example:8443"));
    assert_eq!(config.benchlab_sdk.api_key.as_ref().unwrap().expose(), "k-env");
    assert_eq!(config.cx_export.stage_a, "encoded");
    assert_eq!(config.cx_export.stage_b, "inference_done");
    assert_eq!(config.cx_export.application_name, "Other");
    // The pair of the pipeline itself stays.
    assert_eq!(config.pipeline.stage_a, "in");
}

#[test]
fn flags_over_environment_over_file_over_defaults() {
    let given =
        Given::file("[general]\nsample_hz = 20\nnode_name = \"file\"\n\n[store]\nsync_ms = 50\n")
            .env("BENCHLAB_SAMPLE_HZ", "30")
            .env("BENCHLAB_BAUD", "")
            .flag("--hz", "general.sample_hz", "40");
    let config = given.load();
    let file = |line| Origin::File { path: given.path(), line, column: 1 };
    assert_eq!(config.general.sample_hz, 40.0);
    assert_eq!(config.origin("general.sample_hz"), &Origin::Flag { name: "--hz" });
    assert_eq!(config.net.hz, 40.0);
    assert_eq!(config.origin("net.hz"), &Origin::Default);
    assert_eq!(config.origin("general.node_name"), &file(3));
    assert_eq!((config.store.sync_ms, config.origin("store.sync_ms")), (50, &file(6)));
    assert_eq!((config.benchlab.baud, config.origin("benchlab.baud")), (115_200, &Origin::Default));

    let without_flag = Given { flags: Overrides::default(), ..given }.load();
    assert_eq!(without_flag.general.sample_hz, 30.0);
    assert_eq!(
        without_flag.origin("general.sample_hz"),
        &Origin::Env { name: "BENCHLAB_SAMPLE_HZ" }
    );
}

#[test]
fn everything_that_is_wrong_in_a_file_is_said_at_once() {
    let text = r#"sample_hz = 10
window_mz = 3
store = 5

[general]
sampel_hz = 10
data_root = "relative/root"
node_name = ""
session = "a/%Y"

[benchlab]
hz = 0
device = ["auto", 7]
baud = "fast"
compat_names = true
api_key = "k-17"

[benchlab_sdk]
http_endpoint = "localhost:8080"
api_key = 17
fan_min_duty = 256

[pipelin]
stage_a = "x"

[pipeline]
pairs = [["ingress", "encoded"], ["encoded"], ["a", "a"]]
events = "~/bl.sock"

[flows]
steps = [{ id = "ok" }, { id = "warm", latency_target = 3 }]

[[gpu]]
provider = "nvidia"

[cpu]
hz.per_core = 10

[web]
token_file = "t0ken"

[prometheus]
bind = "127.0.0.1:99999"

[store]
seal_bytes = "64 miles"
[retention]
days = 2.5
raw_keep_days = 0
"#;
    assert_snapshot!("wrong_file", Given::file(text).refused());
    let keys = "[pipeline]\npairs = [[\"a\", \"a\"]]\n[flows]\nsteps = [{ latency_target_ms = -1, id = \"x\" }]\n\
                [gpu]\nprovider = \"nvidia\"\ndevice_index = [0, -1]\n[store]\nseal_bytes = 12\nsync_ms = 1.0\n";
    assert_snapshot!("wrong_values", Given::file(keys).refused());
    let syntax = "[general]\nsample_hz = = 3\nnode_name = \"open\n[web\nenabled = true\n[net]\nhz = 1\nhz = 2\n";
    assert_snapshot!("wrong_syntax", Given::file(syntax).refused());
}

#[test]
fn wrong_variables_and_flags_are_named() {
    let given = Given::file("[general]\nsample_hz = -1\n")
        .env("BENCHLAB_SAMPLE_HZ", "quick")
        .env("BENCHLAB_PROM", "9109")
        .env("BENCHLAB_RAW_KEEP_DAYS", "7 days")
        .flag("--benchlab-hz", "benchlab.hz", "10001")
        .flag("--hertz", "general.sampel_hz", "1");
    assert_snapshot!(given.refused(), @r#"
    config.toml:2:13: general.sample_hz must be a number above 0 and at most 10000, not -1
    environment BENCHLAB_SAMPLE_HZ: general.sample_hz must be a number above 0 and at most 10000, not "quick"
    environment BENCHLAB_RAW_KEEP_DAYS: retention.raw_keep_days must be a whole number from 1 to 36500, not "7 days"
    environment BENCHLAB_PROM: prometheus.bind must be an address with a port, such as "127.0.0.1:9109", not "9109"
    --benchlab-hz: benchlab.hz must be a number above 0 and at most 10000, not "10001"
    --hertz: unknown key "general.sampel_hz"; did you mean "general.sample_hz"?
    "#);
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let given = Given::nothing().env("BENCHLAB_CONFIG", "/nonexistent/a.toml");
    assert_snapshot!(given.refused(), @"environment BENCHLAB_CONFIG: cannot read the configuration /nonexistent/a.toml: No such file or directory (os error 2)");
    let missing = Given::nothing();
    std::fs::remove_file(missing.path()).unwrap();
    assert_eq!(missing.load().file(), None);
    let error = missing.with(|sources| {
        let named = Sources {
            file: Some("/nonexistent/b.toml".into()),
            system_file: missing.path(),
            env: sources.env,
            flags: Overrides::default(),
        };
        Config::load(&named).unwrap_err()
    });
    assert_snapshot!(error, @"--config: cannot read the configuration /nonexistent/b.toml: No such file or directory (os error 2)");
}

#[test]
fn the_printed_default_is_the_default() {
    let defaults = Given::nothing().load();
    assert_eq!(shown(&Given::file(DEFAULT_TOML).load()), shown(&defaults));
    let set = DEFAULT_TOML.lines().filter(|line| line.starts_with('#') && line.contains(" = "));
    assert!(set.count() > 10, "keys without a fixed default stand as examples");
}

#[test]
fn examples_are_accepted() {
    let uncommented: Vec<_> = DEFAULT_TOML
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(example) if example.starts_with(|c: char| c.is_ascii_lowercase()) => example,
            _ => line,
        })
        .collect();
    // The secrets' files of the examples do not exist, but their keys are set as well.
    let config = Given::file(&uncommented.join("\n")).load();
    for key in KEYS {
        assert_ne!(config.origin(key.path), &Origin::Default, "{} is not in the file", key.path);
    }
    assert_eq!(config.pipeline.pairs.len(), 2);
    assert_eq!(config.flows.steps[0].latency_target_ms, Some(120.0));
}

#[test]
fn keys_are_described() {
    for key in KEYS {
        assert!(key.doc.ends_with('.'), "{}: {}", key.path, key.doc);
        assert!(!(key.says)().is_empty(), "{}", key.path);
        assert!(!key.doc.contains('|'), "{} would break the table", key.path);
    }
    let mut paths: Vec<_> = KEYS.iter().map(|key| key.path).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), KEYS.len());
}

#[test]
fn secrets_come_from_files_and_credentials_and_are_never_shown() {
    let given = Given::nothing();
    let secret = given.folder.path().join("secret");
    std::fs::write(&secret, " s3cr3t\n").unwrap();
    std::fs::write(given.folder.path().join("web.token"), "t0ken").unwrap();
    let text = format!("[benchlab_sdk]\napi_key_file = \"{}\"\n", secret.display());
    std::fs::write(given.path(), text).unwrap();
    let folder = given.folder.path().display().to_string();
    let given = given.env("CREDENTIALS_DIRECTORY", folder);
    let config = given.load();
    assert_eq!(config.benchlab_sdk.api_key.as_ref().unwrap().expose(), "s3cr3t");
    assert_eq!(config.web.token.as_ref().unwrap().expose(), "t0ken");
    assert_eq!(config.origin("benchlab_sdk.api_key"), &Origin::Whole { path: secret.clone() });
    let everything =
        format!("{config:?} {:?} {}", shown(&config), config.web.token.as_ref().unwrap());
    assert!(everything.contains("***"));
    assert!(!everything.contains("s3cr3t") && !everything.contains("t0ken"), "{everything}");

    let by_env = given.env("BENCHLAB_API_KEY", "k-env");
    assert_eq!(by_env.load().benchlab_sdk.api_key.unwrap().expose(), "k-env");
    std::fs::write(&secret, "\n").unwrap();
    let empty = Given { variables: Vec::new(), ..by_env };
    assert_snapshot!(empty.refused(), @"config.toml:2:1: benchlab_sdk.api_key: the secret's file secret is empty");
    std::fs::remove_file(&secret).unwrap();
    assert_snapshot!(empty.refused(), @"config.toml:2:1: benchlab_sdk.api_key: cannot read the secret in secret: No such file or directory (os error 2)");
}

#[test]
fn reloading_tells_what_changes_and_when() {
    let given =
        Given::file("[general]\nsample_hz = 10\n[retention]\ndays = 9\n[web]\ntoken = \"one\"\n");
    let old = given.load();
    let text = "[general]\nsample_hz = 20\ndata_root = \"/srv/b\"\n[retention]\ndays = 8\n[web]\ntoken = \"two\"\n[net]\nhz = 10\n";
    std::fs::write(given.path(), text).unwrap();
    let (new, changes) = given.with(|sources| old.reload(sources)).unwrap();
    assert_eq!(new.general.sample_hz, 20.0);
    let of = |key: &str| changes.iter().find(|change| change.key == key);
    assert_eq!(
        of("general.sample_hz").unwrap().to_string(),
        "general.sample_hz: 10.0 -> 20.0 at the next start"
    );
    assert_eq!(of("general.data_root").unwrap().effect, Effect::Start);
    assert!(
        of("general.data_root").unwrap().to_string().ends_with("-> \"/srv/b\" at the next start")
    );
    assert_eq!(of("cpu.hz").unwrap().effect, Effect::Start);
    assert_eq!(of("net.hz"), None, "set to what it was");
    // A changed secret is told without telling it.
    assert!(of("web.token").unwrap().to_string().starts_with("web.token: \"***\" -> \"***\""));
    std::fs::write(given.path(), "[general]\nsample_hz = 0\n").unwrap();
    assert!(given.with(|sources| old.reload(sources)).is_err());
}

#[test]
fn sessions_are_named_by_their_start() {
    let config = Given::nothing().load();
    let start = "2025-11-11T14:30:00.25Z".parse().unwrap();
    assert_eq!(config.general.session.at(start).unwrap(), "2025-11-11T14-30-00Z");
}

proptest! {
    /// Whatever a file holds, it is read or refused with places inside it.
    #[test]
    fn any_text_is_read_or_refused(text in "([\\[\\]{}=,\"'#.\n a-z0-9_é]|general|store|flows|steps|pairs|hz){0,40}") {
        let mut config = Config::default();
        for problem in file::apply(Path::new("f"), &text, &mut config) {
            let Origin::File { line, .. } = problem.origin else { panic!("{problem}") };
            prop_assert!(line >= 1 && line <= text.lines().count() + 1);
            prop_assert!(!problem.to_string().contains('\n'), "{}", problem);
        }
    }
}
