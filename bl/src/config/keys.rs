//! The keys: one list, from which everything about the configuration is made.
//!
//! To add a key, add its entry here; then `BL_UPDATE=1 cargo test -p bl config` writes `default.toml` and
//! `docs/configuration.md` anew.

use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::directories;
use super::form::{
    Address, Bind, Bytes, FilePath, Float, Form, HttpUrl, OneOf, OneOrMore, Optional, SecretText,
    Switch, Text, Whole, read_literal,
};
use super::key::{Effect, Fallback, Key, sections};
use super::secret::Secret;
use super::session_name::{NamePattern, SessionName};
use super::stages::{Pairs, STAGE, StagePair, Step, Steps};

use Effect::{Nothing, Reload, Start};
use Fallback::{From, Is, Unset};

const HZ: Float = Float { above: 0.0, max: 10_000.0 };
const DUTY: Whole = Whole { min: 0, max: 255 };
const DAYS: Whole = Whole { min: 1, max: 36_500 };

/// The common rate.
const SAMPLE_HZ: Fallback<f64> = From {
    how: "as general.sample_hz",
    example: "10",
    value: |config, _| config.general.sample_hz,
};

const NO_BAUD: Effect = Nothing("a board at USB does not care");
const RTT: Effect =
    Nothing("the shortest round trip is recorded every 10 s and whenever it improves");
const NO_CONTROL: Effect = Nothing("bl only reads boards; it does not control lights or fans yet");
const NO_RETAIN: Effect = Nothing("nothing is deleted yet");

/// Which interface GPUs are read through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GpuProvider {
    /// Whatever the machine has.
    #[default]
    Auto,
    /// NVIDIA's library.
    Nvml,
    /// amdgpu in sysfs.
    Amd,
    /// i915 or xe in sysfs.
    Intel,
}

const PROVIDERS: [(&str, GpuProvider); 4] = [
    ("auto", GpuProvider::Auto),
    ("nvml", GpuProvider::Nvml),
    ("amd", GpuProvider::Amd),
    ("intel", GpuProvider::Intel),
];

impl Serialize for GpuProvider {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = PROVIDERS.iter().find(|(_, provider)| provider == self).map(|(name, _)| name);
        name.serialize(serializer)
    }
}

/// Which form files for CapFrameX have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum CxFormat {
    /// Frames.
    Csv,
    /// Frames with power, sensors and hardware.
    #[default]
    Json,
}

const CX_FORMATS: [(&str, CxFormat); 2] = [("json", CxFormat::Json), ("csv", CxFormat::Csv)];

sections! {
    /// What holds for all of `bl`.
    general: General {
        /// Where sessions are kept.
        data_root: PathBuf = FilePath,
            From {
                how: "/var/lib/benchlab for root and where that is writable, else benchlab under $XDG_DATA_HOME or ~/.local/share",
                example: "\"/var/lib/benchlab\"",
                value: |_, surroundings| surroundings.data_root(),
            },
            Start, "BENCHLAB_DATA_ROOT";
        /// Where the sockets of running processes are.
        runtime_dir: PathBuf = FilePath,
            From {
                how: "$RUNTIME_DIRECTORY, else $XDG_RUNTIME_DIR/benchlab, else /run/benchlab for root, else run under data_root",
                example: "\"/run/benchlab\"",
                value: |config, surroundings| surroundings.runtime_dir(&config.general.data_root),
            },
            Start;
        /// How this machine is called in every row.
        node_name: String = Text("a name"),
            From {
                how: "the host's name",
                example: "\"lab-1\"",
                value: |_, surroundings| surroundings.host.clone(),
            },
            Start;
        /// How new sessions are called: a strftime pattern, in UTC.
        session: SessionName = NamePattern, Is("\"%Y-%m-%dT%H-%M-%SZ\""), Start;
        /// Samples a second of every source that has no rate of its own.
        sample_hz: f64 = HZ, Is("10"), Start, "BENCHLAB_SAMPLE_HZ";
    }

    /// BENCHLAB boards at USB.
    benchlab: Benchlab {
        /// Whether to look for boards.
        enabled: bool = Switch, Is("true"), Start;
        /// Which boards to record: `auto` for all, paths, or UIDs.
        device: Vec<String> = OneOrMore(Text("a path, a UID or \"auto\"")), Is("[\"auto\"]"), Start, "BENCHLAB_DEVICE";
        /// Samples a second, as far as the board answers that fast.
        hz: f64 = HZ, Is("50"), Start;
        /// Speed set on the serial line; boards at USB do not care.
        baud: u32 = Whole { min: 300, max: 4_000_000 }, Is("115200"), NO_BAUD, "BENCHLAB_BAUD";
        /// Seconds between two records of the shortest round trip, by which samples are stamped.
        calibration_interval_sec: u32 = Whole { min: 1, max: 86_400 }, Is("60"), RTT;
        /// Record a firmware that is not known if its replies have a known size.
        allow_unknown_firmware: bool = Switch, Is("false"), Start;
    }

    /// BENCHLAB boards that another program reads: LinuxSupportKit's service, the vendor's server, or an MQTT broker.
    benchlab_sdk: BenchlabSdk {
        /// Address of LinuxSupportKit's service; without one it is not asked.
        http_endpoint: Option<String> = Optional(HttpUrl), Unset("\"http://localhost:8080\""), Start, "BENCHLAB_API_ENDPOINT";
        /// Key of the service. Better kept in a file or as a systemd credential (see api_key_file).
        api_key: Option<Secret> = SecretText, Unset("\"...\""), Start, "BENCHLAB_API_KEY";
        /// File with the key, where api_key is not set; without one, the systemd credential `benchlab_sdk.api_key`.
        api_key_file: Option<PathBuf> = Optional(FilePath), Unset("\"/etc/benchlab/api_key\""), Start;
        /// Milliseconds that the service may wait for an answer of a device.
        device_timeout_ms: u32 = Whole { min: 1, max: 600_000 }, Is("2000"), Start;
        /// Record every device of the service instead of the first.
        enable_multi_device: bool = Switch, Is("false"), Start;
        /// Address of the server of benchlab-pytools; without one it is not asked.
        fastapi_endpoint: Option<String> = Optional(HttpUrl), Unset("\"http://localhost:8000\""), Start;
        /// MQTT broker that benchlab-pytools publishes to, as host:port; without one none is asked.
        mqtt_broker: Option<String> = Optional(Text("a host and a port, such as \"localhost:1883\"")), Unset("\"localhost:1883\""), Start;
        /// The part of the topics before the UID.
        mqtt_prefix: String = Text("the beginning of a topic"), Is("\"benchlab\""), Start;
        /// User of the broker, where it wants one.
        mqtt_user: Option<String> = Optional(Text("a name")), Unset("\"bl\""), Start;
        /// Password of the user. Better kept in a file or as a systemd credential (see mqtt_password_file).
        mqtt_password: Option<Secret> = SecretText, Unset("\"...\""), Start;
        /// File with the password, where mqtt_password is not set; without one, the systemd credential `benchlab_sdk.mqtt_password`.
        mqtt_password_file: Option<PathBuf> = Optional(FilePath), Unset("\"/etc/benchlab/mqtt_password\""), Start;
        /// How many times a second a server is asked that pushes nothing.
        hz: f64 = HZ, SAMPLE_HZ, Start;
        /// Show the latency by the board's lights.
        enable_rgb_feedback: bool = Switch, Is("false"), NO_CONTROL;
        /// Let the board's fans follow its temperature.
        enable_auto_fan_control: bool = Switch, Is("false"), NO_CONTROL;
        /// Temperature from which fans speed up, in degrees Celsius.
        fan_temp_threshold_c: f64 = Float { above: 0.0, max: 150.0 }, Is("60.0"), NO_CONTROL;
        /// Lowest duty of fans, of 255.
        fan_min_duty: u8 = DUTY, Is("64"), NO_CONTROL;
        /// Highest duty of fans, of 255.
        fan_max_duty: u8 = DUTY, Is("255"), NO_CONTROL;
    }

    /// The processors.
    cpu: Cpu {
        /// Whether to record load and frequency.
        enabled: bool = Switch, Is("true"), Start;
        /// Samples a second.
        hz: f64 = HZ, SAMPLE_HZ, Start;
        /// Record the energy counters of the processor (RAPL).
        enable_rapl: bool = Switch, Is("true"), Start;
        /// Samples a second of the energy counters.
        rapl_hz: f64 = HZ, SAMPLE_HZ, Start;
    }

    /// The memory.
    memory: Memory {
        /// Whether to record it.
        enabled: bool = Switch, Is("true"), Start;
        /// Samples a second.
        hz: f64 = HZ, SAMPLE_HZ, Start;
    }

    /// Network interfaces.
    net: Net {
        /// Whether to record them.
        enabled: bool = Switch, Is("true"), Start;
        /// Samples a second.
        hz: f64 = HZ, SAMPLE_HZ, Start;
    }

    /// Disks.
    disk: Disk {
        /// Whether to record them.
        enabled: bool = Switch, Is("true"), Start;
        /// Samples a second.
        hz: f64 = HZ, SAMPLE_HZ, Start;
    }

    /// Sensor chips that the kernel knows (hwmon).
    hwmon: Hwmon {
        /// Whether to record them.
        enabled: bool = Switch, Is("true"), Start;
        /// Samples a second.
        hz: f64 = HZ, SAMPLE_HZ, Start;
    }

    /// Graphics cards.
    gpu: Gpu {
        /// Whether to record them.
        enabled: bool = Switch, Is("true"), Start;
        /// Interface they are read through.
        provider: GpuProvider = OneOf(&PROVIDERS), Is("\"auto\""), Start;
        /// Which cards, by index from 0; all where not set.
        device_index: Vec<u32> = OneOrMore(Whole { min: 0, max: 255 }), Unset("0"), Start, "BENCHLAB_GPU_INDEX";
        /// Which cards, by UUID; all where not set.
        device_uuid: Vec<String> = OneOrMore(Text("a card's UUID")), Unset("\"GPU-...\""), Start;
        /// Samples a second.
        hz: f64 = HZ, SAMPLE_HZ, Start;
    }

    /// Stage events of pipelines, and how they are paired.
    pipeline: Pipeline {
        /// The socket that programs send stage events to.
        events: PathBuf = FilePath,
            From { how: "bl.sock in general.runtime_dir", example: "\"/run/benchlab/bl.sock\"", value: directories::events },
            Start;
        /// The stage where the latency of a frame begins.
        stage_a: String = STAGE, Is("\"ingress\""), Reload;
        /// The stage where it ends.
        stage_b: String = STAGE, Is("\"encoded\""), Reload;
        /// Every pair of stages that is measured.
        pairs: Vec<StagePair> = Pairs,
            From {
                how: "stage_a and stage_b",
                example: "[[\"ingress\", \"encoded\"], [\"encoded\", \"inference_done\"]]",
                value: |config, _| vec![(config.pipeline.stage_a.clone(), config.pipeline.stage_b.clone())],
            },
            Reload;
        /// Milliseconds within which a frame reaches the second stage, or counts as dropped.
        window_ms: u32 = Whole { min: 1, max: 3_600_000 }, Is("2000"), Reload;
    }

    /// Named steps of a session, each with the latency that it should keep.
    flows: Flows {
        /// A flow as a file of its own, before the steps here: YAML (`steps:`) if its name ends in .yaml or .yml, else TOML (`[[steps]]`).
        file: Option<PathBuf> = Optional(FilePath), Unset("\"/etc/benchlab/flow.toml\""), Reload;
        /// Or its steps here.
        steps: Vec<Step> = Steps, Unset("[{ id = \"capture\", latency_target_ms = 120.0 }]"), Reload;
    }

    /// Files for CapFrameX.
    cx_export: CxExport {
        /// Export what `bl ingest` records when the session ends.
        enabled: bool = Switch, Is("false"), Reload;
        /// Folder that CapFrameX watches.
        watch_dir: Option<PathBuf> = Optional(FilePath), Unset("\"/mnt/cx-import\""), Reload;
        /// Form of the files: only JSON carries power.
        format: CxFormat = OneOf(&CX_FORMATS), Is("\"json\""), Reload;
        /// Name of the application in the files.
        application_name: String = Text("a name"), Is("\"bl\""), Reload, "CX_APP";
        /// First stage of the exported pair.
        stage_a: String = STAGE,
            From { how: "as pipeline.stage_a", example: "\"ingress\"", value: |config, _| config.pipeline.stage_a.clone() },
            Reload, "CX_STAGE_A";
        /// Second stage of the exported pair.
        stage_b: String = STAGE,
            From { how: "as pipeline.stage_b", example: "\"encoded\"", value: |config, _| config.pipeline.stage_b.clone() },
            Reload, "CX_STAGE_B";
    }

    /// How recordings reach the disk.
    store: Store {
        /// Milliseconds until a row is written to the open segment, where readers see it.
        flush_ms: u32 = Whole { min: 1, max: 10_000 }, Is("100"), Start;
        /// Milliseconds until it is synced: what a power cut can cost.
        sync_ms: u32 = Whole { min: 1, max: 600_000 }, Is("1000"), Start;
        /// Seconds after which a segment becomes a Parquet file.
        seal_seconds: u32 = Whole { min: 1, max: 86_400 }, Is("300"), Start;
        /// Size at which it becomes one before that.
        seal_bytes: u64 = Bytes { min: 1 << 20, max: 4 << 30 }, Is("\"64 MiB\""), Start;
    }

    /// How long recordings are kept.
    retention: Retention {
        /// Days after which a session is deleted.
        days: u32 = DAYS, Is("90"), NO_RETAIN, "BENCHLAB_RETENTION_DAYS";
        /// Days after which its raw rows are deleted; what was aligned stays.
        raw_keep_days: u32 = DAYS, Is("7"), NO_RETAIN, "BENCHLAB_RAW_KEEP_DAYS";
    }

    /// Metrics for Prometheus.
    prometheus: Prometheus {
        /// Whether to serve them.
        enabled: bool = Switch, Is("true"), Start;
        /// Where to listen.
        bind: Bind = Address, Is("\"127.0.0.1:9109\""), Start, "BENCHLAB_PROM";
        /// Also give the series of the older tool, under its names.
        compat_names: bool = Switch, Is("false"), Start;
    }

    /// The web view.
    web: Web {
        /// Whether to serve it.
        enabled: bool = Switch, Is("true"), Start;
        /// Where to listen.
        bind: Bind = Address, Is("\"127.0.0.1:3010\""), Start;
        /// What a browser must present, where set. Better kept in a file or as a systemd credential (see token_file).
        token: Option<Secret> = SecretText, Unset("\"...\""), Start;
        /// File with the token, where token is not set; without one, the systemd credential `web.token`.
        token_file: Option<PathBuf> = Optional(FilePath), Unset("\"/etc/benchlab/web_token\""), Start;
    }
}
