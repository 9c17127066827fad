//! From the configuration to running sources.

use std::path::Path;
use std::time::Duration;

use bl_ingest::Recording;
use bl_ingest::gpu::{Choice, DrmSource, NvidiaSource};
use bl_ingest::host::{ClockSource, HostSource};
use bl_ingest::hwmon::HwmonSource;
use bl_ingest::network::{FastApiSource, KitOptions, KitSource, MqttOptions, MqttSource};
use bl_ingest::rapl::RaplSource;
use bl_ingest::serial::emulator::{BoardOptions, VirtualBoard};
use bl_ingest::serial::protocol::Model;
use bl_ingest::serial::{BenchlabSource, ConnectOptions, Roots, Roster, Selector};
use bl_ingest::socket::{EventsSocket, SimulatedStages};
use bl_ingest::source::Stop;

use super::refuse;
use crate::config::{Config, GpuProvider};

/// Draws the simulated board and stages.
const SEED: u64 = 1;

/// Starts every source that the configuration asks for. Returns the virtual board, which lives as long as it
/// is held.
pub fn start(
    recording: &Recording,
    config: &Config,
    boards: Vec<Selector>,
    events: EventsSocket,
    simulate: bool,
    host: bool,
) -> anyhow::Result<Option<VirtualBoard>> {
    recording.start(Box::new(ClockSource::new()))?;
    recording.start(Box::new(events))?;
    let board = if simulate { Some(start_virtual_board(recording, config)?) } else { None };
    if config.benchlab.enabled {
        start_boards(recording, config, boards, simulate)?;
    }
    start_network(recording, config)?;
    if host {
        start_host(recording, config)?;
    }
    Ok(board)
}

fn start_virtual_board(recording: &Recording, config: &Config) -> anyhow::Result<VirtualBoard> {
    let board = VirtualBoard::start(BoardOptions::new(Model::Benchlab2, SEED))?;
    let path = board.path().ok_or_else(|| anyhow::anyhow!("the virtual board has no port"))?;
    let roster = roster(config);
    let source = BenchlabSource::new(Selector::Path(path), roster, config.benchlab.hz);
    recording.start(Box::new(source.simulated()))?;
    Ok(board)
}

/// Starts stages as a pipeline would report them, at the events socket.
pub fn start_simulated_stages(recording: &Recording, config: &Config) -> anyhow::Result<()> {
    recording.start(Box::new(SimulatedStages::new(config.pipeline.events.clone(), SEED)))?;
    Ok(())
}

/// The boards that the configuration selects.
pub fn boards(config: &Config) -> anyhow::Result<Vec<Selector>> {
    let selectors = config.benchlab.device.iter().map(|d| d.parse::<Selector>());
    selectors.collect::<Result<_, _>>().map_err(|e| refuse(config, "benchlab.device", e))
}

fn start_boards(
    recording: &Recording,
    config: &Config,
    selectors: Vec<Selector>,
    simulate: bool,
) -> anyhow::Result<()> {
    let roster = roster(config);
    let hz = config.benchlab.hz;
    let (auto, named): (Vec<_>, Vec<_>) = selectors.into_iter().partition(|s| *s == Selector::Auto);
    for selector in &named {
        let source = BenchlabSource::new(selector.clone(), roster.clone(), hz);
        recording.start(Box::new(source))?;
    }
    if !auto.is_empty() {
        // Every port is asked once, here; the scanner goes on from there.
        roster.refresh(&Stop::new()?);
        let none = roster.unclaimed().is_empty();
        let obstacles = roster.obstacles();
        obstacles.iter().for_each(|text| eprintln!("{text}; it is asked again all the while"));
        if none && obstacles.is_empty() && !simulate {
            eprintln!(
                "no BENCHLAB board is plugged in; one that is plugged in later is recorded too"
            );
        }
        recording.start_boards(roster, hz, &named)?;
    }
    Ok(())
}

fn roster(config: &Config) -> Roster {
    let options = ConnectOptions {
        allow_unknown_firmware: config.benchlab.allow_unknown_firmware,
        ..ConnectOptions::default()
    };
    Roster::new(Roots::default(), options)
}

/// The boards that another program reads.
fn start_network(recording: &Recording, config: &Config) -> anyhow::Result<()> {
    let sdk = &config.benchlab_sdk;
    if let Some(options) = kit_options(config) {
        if sdk.enable_multi_device {
            recording.start_kit(options)?;
        } else {
            recording.start(Box::new(KitSource::new(options, None)))?;
        }
    }
    if let Some(endpoint) = sdk.fastapi_endpoint.clone() {
        recording.start(Box::new(FastApiSource::new(endpoint, sdk.hz)))?;
    }
    if let Some(options) = mqtt_options(config) {
        recording.start(Box::new(MqttSource::new(options)))?;
    }
    Ok(())
}

/// The LinuxSupportKit service, if one is configured.
pub fn kit_options(config: &Config) -> Option<KitOptions> {
    let sdk = &config.benchlab_sdk;
    Some(KitOptions {
        endpoint: sdk.http_endpoint.clone()?,
        api_key: sdk.api_key.as_ref().map(|key| key.expose().to_owned()),
        device_timeout: Duration::from_millis(sdk.device_timeout_ms.into()),
        hz: sdk.hz,
    })
}

/// The MQTT broker, if one is configured.
pub fn mqtt_options(config: &Config) -> Option<MqttOptions> {
    let sdk = &config.benchlab_sdk;
    let password = sdk.mqtt_password.as_ref().map(|p| p.expose().to_owned());
    let login = sdk.mqtt_user.clone().map(|user| (user, password.unwrap_or_default()));
    Some(MqttOptions { broker: sdk.mqtt_broker.clone()?, prefix: sdk.mqtt_prefix.clone(), login })
}

/// Refuses addresses of servers that cannot be asked: there is no TLS.
pub fn check_endpoints(config: &Config) -> anyhow::Result<()> {
    let sdk = &config.benchlab_sdk;
    for (key, endpoint) in [
        ("benchlab_sdk.http_endpoint", &sdk.http_endpoint),
        ("benchlab_sdk.fastapi_endpoint", &sdk.fastapi_endpoint),
    ] {
        if endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("https:")) {
            let why = "https is not supported here; put an address that begins with http://";
            return Err(refuse(config, key, why));
        }
    }
    Ok(())
}

fn start_host(recording: &Recording, config: &Config) -> anyhow::Result<()> {
    let root = Path::new("/");
    let Config { cpu, memory, net, disk, .. } = config;
    let of_proc = [
        (cpu.enabled, HostSource::cpu(root, cpu.hz)),
        (memory.enabled, HostSource::memory(root, memory.hz)),
        (net.enabled, HostSource::net(root, net.hz)),
        (disk.enabled, HostSource::disk(root, disk.hz)),
    ];
    for (_, source) in of_proc.into_iter().filter(|(enabled, _)| *enabled) {
        recording.start(Box::new(source))?;
    }
    if config.cpu.enable_rapl {
        recording.start(Box::new(RaplSource::new(root, config.cpu.rapl_hz)))?;
    }
    if config.hwmon.enabled {
        recording.start(Box::new(HwmonSource::new(root, config.hwmon.hz)))?;
    }
    if config.gpu.enabled {
        start_gpus(recording, config)?;
    }
    Ok(())
}

/// Names of the cards that the configuration chooses; none: all of them.
pub fn chosen_cards(config: &Config) -> Vec<String> {
    let by_index = config.gpu.device_index.iter().map(u32::to_string);
    by_index.chain(config.gpu.device_uuid.iter().cloned()).collect()
}

fn start_gpus(recording: &Recording, config: &Config) -> anyhow::Result<()> {
    let (root, hz) = (Path::new("/"), config.gpu.hz);
    let cards = chosen_cards(config);
    let choice = || if cards.is_empty() { Choice::default() } else { Choice::only(cards.clone()) };
    let wants = |p| config.gpu.provider == GpuProvider::Auto || config.gpu.provider == p;
    if wants(GpuProvider::Nvml) {
        recording.start(Box::new(NvidiaSource::new(hz, choice())))?;
    }
    if wants(GpuProvider::Amd) {
        recording.start(Box::new(DrmSource::amd(root, hz, choice())))?;
    }
    if wants(GpuProvider::Intel) {
        recording.start(Box::new(DrmSource::intel(root, hz, choice())))?;
    }
    Ok(())
}
