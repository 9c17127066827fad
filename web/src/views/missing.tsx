import type { JSX } from "preact";
import { Empty } from "../ui/parts.tsx";

/** No session is being recorded, and none is open. */
export function NoSession(): JSX.Element {
  return (
    <Empty title="Nothing is being recorded" command="bl ingest">
      Start a recording on the machine that this page comes from; it appears here by itself. Without a board,{" "}
      <code>bl ingest --simulate</code> shows everything with simulated signals. Past recordings are under{" "}
      <a href="#/sessions">Sessions</a>.
    </Empty>
  );
}

/** The session has no stage events. */
export function NoPairs(): JSX.Element {
  return (
    <Empty title="No frames yet" command="bl probe --stages ingress=src.src+encoded=enc.src -- gst-launch-1.0 …">
      Latency appears when a pipeline reports its stages: start it under <code>bl probe</code>, or write JSON lines such as{" "}
      <code>{'{"stage":"ingress","frame":1}'}</code> to the events socket of <code>bl ingest</code>.
    </Empty>
  );
}

/** The session has no board. */
export function NoBoard(): JSX.Element {
  return (
    <Empty title="No BENCHLAB board in this session" command="bl doctor">
      <code>bl doctor</code> says which boards this machine sees and what keeps <code>bl ingest</code> from reading them.
    </Empty>
  );
}

/** The session has no series of a kind. */
export function NoChannels({ what }: { what: string }): JSX.Element {
  return (
    <Empty title={`No ${what} in this session`} command="bl doctor">
      Nothing that reports {what} was recorded. <code>bl doctor</code> lists the sources that this machine has and lacks.
    </Empty>
  );
}
