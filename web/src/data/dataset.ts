import { Ring } from "./ring.ts";
import type { Board, Channels, ChannelSeries, Costs, Marks, Message, Pairs, Power, Session, StageEvents, Status } from "./wire.ts";

/** Rows that a live page keeps of each series: 15 minutes at 100 Hz, and some more. */
export const LIVE_ROWS = 100_000;
/** How far back a live page keeps rows. */
export const LIVE_SPAN_MS = 15 * 60_000 + 5_000;

/** How long stage events are kept for the pairing view, in milliseconds. */
const EVENT_SPAN_MS = 6_000;

/** The pairs of two stages: those that arrived, those that were dropped, and those of which nobody can tell. */
export interface PairTrack {
  name: string;
  rows: Ring;
  drops: Ring;
  unsure: Ring;
  /** Bucket means where rows are thinned, so that a line is drawn at the level and not through extremes. */
  means: Ring;
}

/** The power of a board. */
export interface PowerTrack {
  rows: Ring;
  means: Ring;
}

/** A slow series: one key of one table. */
export interface Channel {
  table: string;
  key: string;
  source: string;
  attrs: Record<string, string | boolean | null>;
  ring: Ring;
}

/**
 * What the page knows of one session: series in rings, and the newest session, marks and status. All of it comes in as messages,
 * whether from the stream, from polling or from the routes of a past session.
 */
export class Dataset {
  session: Session | null = null;
  /** Boards of a past session; those of the live one are in its status. */
  boards: Board[] = [];
  status: Status | null = null;
  marks: Marks = { marks: [], flows: [] };
  readonly pairs = new Map<string, PairTrack>();
  readonly power = new Map<string, PowerTrack>();
  readonly channels = new Map<string, Channel>();
  readonly stages: string[] = [];
  events: Ring;
  /** False where rows of a past session were left out for the screen. */
  exact = true;
  /** Grows with every message. */
  version = 0;
  /** Newest time of any row. */
  newest = NaN;

  constructor(
    private readonly rows = LIVE_ROWS,
    private readonly span_ms = LIVE_SPAN_MS,
  ) {
    this.events = new Ring(rows, Math.min(span_ms, EVENT_SPAN_MS));
  }

  /** Takes one message in. */
  apply(message: Message): void {
    switch (message.event) {
      case "session":
        this.session = message.data;
        break;
      case "pairs":
        this.addPairs(message.data);
        break;
      case "costs":
        this.addCosts(message.data);
        break;
      case "power":
        this.addPower(message.data);
        break;
      case "channels":
        this.addChannels(message.data);
        break;
      case "events":
        this.addEvents(message.data);
        break;
      case "marks":
        this.marks = message.data;
        break;
      case "status":
        this.status = message.data;
        break;
    }
    this.version++;
  }

  /** Forgets every series, for another session or after a gap that cannot be filled. */
  clear(): void {
    this.pairs.clear();
    this.power.clear();
    this.channels.clear();
    this.events.clear();
    this.stages.length = 0;
    this.marks = { marks: [], flows: [] };
    this.exact = true;
    this.newest = NaN;
    this.version++;
  }

  /** The track of a pair, made where it is new. */
  track(name: string): PairTrack {
    let track = this.pairs.get(name);
    if (!track) {
      track = { name, rows: this.ring(), drops: this.ring(), unsure: this.ring(), means: this.ring() };
      this.pairs.set(name, track);
    }
    return track;
  }

  private ring(): Ring {
    return new Ring(this.rows, this.span_ms);
  }

  private addPairs(p: Pairs): void {
    const track = this.track(p.pair);
    track.rows.append(p.t, { lat_ms: p.lat_ms, power_w: p.power_w, energy_j: p.energy_j, frame: p.frame });
    track.drops.append(p.dropped_t, { frame: p.dropped_frame });
    track.unsure.append(p.ambiguous_t ?? [], {});
    if (p.means) track.means.append(p.means.t, p.means.cols);
    if (p.exact === false) this.exact = false;
    this.seen(track.rows.last);
  }

  private addCosts(c: Costs): void {
    this.track(c.pair).rows.amend(c.t, "frame", c.frame, { power_w: c.power_w, energy_j: c.energy_j });
  }

  private addPower(p: Power): void {
    let track = this.power.get(p.device);
    if (!track) this.power.set(p.device, (track = { rows: this.ring(), means: this.ring() }));
    track.rows.append(p.t, p.cols);
    if (p.means) track.means.append(p.means.t, p.means.cols);
    if (p.exact === false) this.exact = false;
    this.seen(track.rows.last);
  }

  private addChannels(c: Channels): void {
    for (const s of c.series) {
      const channel = this.channel(s);
      channel.source = s.source;
      Object.assign(channel.attrs, s.attrs);
      channel.ring.append(s.t, s.cols);
      this.seen(channel.ring.last);
    }
  }

  private channel(s: ChannelSeries): Channel {
    const id = `${s.table}/${s.key}`;
    let channel = this.channels.get(id);
    if (!channel) {
      channel = { table: s.table, key: s.key, source: s.source, attrs: {}, ring: this.ring() };
      this.channels.set(id, channel);
    }
    return channel;
  }

  private addEvents(e: StageEvents): void {
    const index = e.stages.map((name) => {
      const known = this.stages.indexOf(name);
      return known >= 0 ? known : this.stages.push(name) - 1;
    });
    this.events.append(e.t, { stage: e.stage.map((s) => index[s]), frame: e.frame, key_ns: e.key_ns });
    this.seen(this.events.last);
  }

  private seen(t: number): void {
    if (!(t <= this.newest)) this.newest = t === t ? t : this.newest;
  }
}
