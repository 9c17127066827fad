// Synthetic signals of the development stand-in: pure functions of time and a seed, so that every run draws the same.

/** A number in [0, 1) that depends on the seed and the index only. */
export function noise(seed, index) {
  let h = Math.imul((index | 0) ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(seed + 1, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return ((h ^ (h >>> 15)) >>> 0) / 4294967296;
}

const wave = (s, period, phase = 0) => Math.sin((2 * Math.PI * (s + phase)) / period);

/** How hard the machine works at `s` seconds after the session's start, 0 to 1. */
export function load(s, seed) {
  const burst = (s + seed * 7) % 60 < 9 ? 0.28 : 0;
  return Math.min(1, Math.max(0.05, 0.42 + 0.2 * wave(s, 47, seed) + 0.08 * wave(s, 11) + burst));
}

export const STAGES = ["ingress", "encoded", "inference_done"];
export const RAILS = ["eps1", "eps2", "atx3v", "atx5v", "atx5vsb", "atx12v", "pcie1", "pcie2", "pcie3", "hpwr1", "hpwr2"];

/** One frame: when it reaches each stage (ms after the start), null where it was dropped before. */
export function frame(n, fps, seed) {
  const at = (n * 1000) / fps + 1.2 * (noise(seed, 3 * n) - 0.5);
  const l = load(at / 1000, seed);
  const spike = noise(seed, 3 * n + 1) ** 24 * 15;
  const encode = 3.4 + 5.2 * l + 1.1 * noise(seed, 3 * n + 2) + spike;
  const infer = 2.2 + 2.5 * l + 0.8 * noise(seed + 5, n);
  const lost = noise(seed + 9, n);
  return [at, lost < 0.008 ? null : at + encode, lost < 0.013 ? null : at + encode + infer];
}

const round3 = (x) => Math.round(x * 1000) / 1000;

/** Power of each rail in watts at `s` seconds, plus the sums. */
export function power(s, sample, seed, scale = 1) {
  const l = load(s, seed);
  const n = (k) => 1 + 0.03 * (noise(seed + k, sample) - 0.5);
  const cpu = scale * (38 + 74 * l);
  const gpu = scale * (46 + 190 * l + 14 * noise(seed + 21, sample) ** 4);
  const w = {
    eps1_w: cpu * 0.62 * n(1), eps2_w: cpu * 0.38 * n(2),
    atx3v_w: 2.4 * n(3), atx5v_w: (6.1 + 2 * l) * n(4), atx5vsb_w: 0.9 * n(5), atx12v_w: (17 + 9 * l) * n(6),
    pcie1_w: gpu * 0.14 * n(7), pcie2_w: gpu * 0.13 * n(8), pcie3_w: 0.2 * n(9), hpwr1_w: gpu * 0.72 * n(10), hpwr2_w: 0.1 * n(11),
  };
  for (const k in w) w[k] = round3(w[k]);
  const cpu_w = round3(w.eps1_w + w.eps2_w);
  const gpu_w = round3(w.pcie1_w + w.pcie2_w + w.pcie3_w + w.hpwr1_w + w.hpwr2_w);
  const mb_w = round3(w.atx3v_w + w.atx5v_w + w.atx5vsb_w + w.atx12v_w);
  return { sys_w: round3(cpu_w + gpu_w + mb_w), cpu_w, gpu_w, mb_w, ...w };
}

const NOMINAL_V = { eps1: 12, eps2: 12, atx3v: 3.3, atx5v: 5, atx5vsb: 5, atx12v: 12, pcie1: 12, pcie2: 12, pcie3: 12, hpwr1: 12, hpwr2: 12 };

/** The slow columns of a board at `s` seconds. */
export function slow(s, seed) {
  const l = load(s - 4, seed);
  const row = Math.round(s * 2);
  const n = (k) => noise(seed + k, row) - 0.5;
  const w = power(s, row, seed);
  const out = {
    rtt_ns: Math.round(1.9e6 + 3e5 * noise(seed + 31, row) + (noise(seed + 32, row) > 0.985 ? 6e6 : 0)),
    chip_c: 38, ambient_c: Math.round((24.4 + 0.6 * wave(s, 400) + 0.1 * n(40)) * 10) / 10,
    ts1_c: Math.round((41 + 22 * l + 0.4 * n(41)) * 10) / 10, ts2_c: Math.round((36 + 12 * l + 0.4 * n(42)) * 10) / 10,
    humidity_pct: Math.round((41 + 2 * wave(s, 900) + 0.2 * n(43)) * 10) / 10, vdd_v: 3.301, vref_v: 1.212,
  };
  for (const rail of RAILS) {
    const v = round3(NOMINAL_V[rail] * (1 + 0.008 * n(50)));
    out[`${rail}_v`] = v;
    out[`${rail}_a`] = round3(w[`${rail}_w`] / v);
  }
  for (const [i, base] of [[1, 900], [2, 1150], [3, 700]]) {
    out[`fan${i}_rpm`] = Math.round(base + 700 * l + 12 * n(60 + i));
    out[`fan${i}_duty_pct`] = Math.round(30 + 45 * l);
  }
  return out;
}

/** The host's series at `s` seconds: table, key, numeric columns, attributes. */
export function host(s, seed, { gpu }) {
  const l = load(s - 0.3, seed);
  const row = Math.round(s * 2);
  const n = (k) => noise(seed + k, row);
  const pct = (x) => Math.round(Math.min(100, Math.max(0, x)) * 10) / 10;
  const out = [
    ["cpu", "all", "host.cpu", { busy_pct: pct(18 + 52 * l + 4 * n(70)), user_pct: pct(12 + 42 * l), system_pct: pct(4 + 7 * l), iowait_pct: pct(1.5 * n(71)), freq_mhz: Math.round(3600 + 900 * l) }, {}],
    ["memory", "", "host.memory", { total_bytes: 33_554_432_000, available_bytes: Math.round(33_554_432_000 * (0.52 - 0.08 * l)), cached_bytes: 6_442_450_944, swap_total_bytes: 0, used_pct: pct(48 + 8 * l) }, {}],
    ["net", "enp5s0", "host.net", { rx_bytes_per_s: Math.round(1.1e7 * (0.6 + l) * (0.9 + 0.2 * n(72))), tx_bytes_per_s: Math.round(4.2e6 * (0.5 + l) * (0.9 + 0.2 * n(73))), rx_errors: 0, tx_errors: 0 }, {}],
    ["net", "lo", "host.net", { rx_bytes_per_s: Math.round(2.4e5 * n(74)), tx_bytes_per_s: Math.round(2.4e5 * n(74)) }, {}],
    ["disk", "nvme0n1", "host.disk", { read_bytes_per_s: n(75) > 0.9 ? Math.round(2.2e7 * n(76)) : 0, write_bytes_per_s: Math.round(1.6e6 * (0.5 + n(77))), busy_pct: pct(6 * n(78)), in_flight: 0 }, {}],
  ];
  for (let c = 0; c < 8; c++) out.push(["cpu", String(c), "host.cpu", { busy_pct: pct(100 * (0.15 + 0.7 * l * (c % 3 ? 0.8 : 1.1)) * (0.8 + 0.4 * n(80 + c))), freq_mhz: Math.round(3400 + 1100 * l) }, {}]);
  if (gpu) {
    out.push(["gpu", "0", "gpu.nvml", {
      util_pct: pct(30 + 66 * l + 4 * n(90)), mem_util_pct: pct(20 + 40 * l), mem_used_bytes: Math.round(6.1e9 + 9e8 * l), mem_total_bytes: 17_171_480_576, power_w: round3(46 + 190 * l),
      temp_c: Math.round(44 + 24 * l), hotspot_c: Math.round(54 + 29 * l), core_mhz: Math.round(1900 + 700 * l), mem_mhz: 10501, fan_pct: Math.round(30 + 30 * l), encoder_pct: pct(24 + 30 * l), decoder_pct: pct(8 + 9 * l),
      pcie_rx_bytes_per_s: Math.round(4e7 * (0.4 + l)), pcie_tx_bytes_per_s: Math.round(2e7 * (0.4 + l)),
    }, { name: "Synthetic GPU 16G", vendor: "nvidia", power_method: "energy" }]);
  }
  out.push(["hwmon", "nct6798@nct6775.656/temp1", "host.hwmon", { value: Math.round((33 + 6 * l) * 10) / 10 }, { label: "SYSTIN", unit: "degC" }]);
  out.push(["rapl", "package-0", "host.rapl", { power_w: round3(34 + 60 * l) }, { method: "powercap" }]);
  return out;
}
