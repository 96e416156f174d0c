/**
 * `manifest.json`: what a run is and where it stands, for people and for other programs. It is derived from the
 * journal, never read back by this one.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"
import { type BatchSnapshot, isAtProvider } from "./Batch.js"
import { BuildOptions } from "./BuildOptions.js"
import * as Cost from "./Cost.js"
import * as RunBill from "./RunBill.js"
import type { RunState, ShardState } from "./RunState.js"
import * as Tally from "./Tally.js"

/**
 * Where a run stands as a whole.
 *
 * @since 0.1.0
 * @category models
 */
export type RunStatus = "building" | "built" | "running" | "finished"

/**
 * Where a run stands as a whole: `running` from the first try to submit until everything is normalised and merged.
 *
 * @since 0.1.0
 * @category destructors
 */
export const runStatus = (state: RunState): RunStatus => {
  if (state.tally !== null) return "finished"
  if (state.rows === null) return "building"
  return [...state.shards.values()].every((shard) => shard.status === "built" && shard.intent === null)
    ? "built"
    : "running"
}

const time = (value: DateTime.Utc | null) => value === null ? null : DateTime.formatIso(value)

const file = (snapshot: BatchSnapshot | null, kind: "output" | "error") =>
  snapshot?.files.find((one) => one.kind === kind)?.reference ?? null

const encodeOptions = Schema.encodeSync(BuildOptions)
const encodeTally = Schema.encodeSync(Tally.Tally)

const batch = ({ bill, cleaned, ended, input, shard, shortfall, snapshot, status, tally }: ShardState) => ({
  shard: shard.id,
  mode: shard.mode,
  attempt: shard.attempt,
  parents: shard.parents,
  stage: status,
  provider: shard.provider,
  endpoint: shard.endpoint,
  model: shard.model,
  betas: shard.betas,
  request_count: shard.rows,
  bytes: shard.bytes,
  sha256: shard.sha256,
  batch_id: snapshot !== null && isAtProvider(snapshot) ? snapshot.id : null,
  status: snapshot?.providerStatus ?? null,
  ending: ended?.ending ?? null,
  input_file_id: snapshot?.inputFileId ?? (input?._tag === "UploadedFile" ? input.fileId : null),
  output_file_id: file(snapshot, "output"),
  error_file_id: file(snapshot, "error"),
  request_counts: snapshot === null ? null : { ...snapshot.counts },
  created_at: time(snapshot?.createdAt ?? null),
  expires_at: time(snapshot?.expiresAt ?? null),
  ended_at: time(snapshot?.endedAt ?? null),
  problems: snapshot?.problems.map((problem) => ({ ...problem })) ?? [],
  shortfall,
  deleted_at_provider: cleaned,
  tally: tally === null ? null : encodeTally(tally),
  bill: bill === null ? null : Cost.toJson(bill)
})

/**
 * The manifest of a run.
 *
 * @since 0.1.0
 * @category destructors
 */
export const make = (state: RunState) => ({
  run_id: state.run.runId,
  run_tag: state.run.runTag,
  status: runStatus(state),
  provider: state.run.provider,
  input: { ...state.run.input },
  options: encodeOptions(state.run.options),
  started_at: time(state.startedAt),
  updated_at: time(state.updatedAt),
  rows: state.rows,
  notices: state.notices,
  tally: state.tally === null ? null : encodeTally(state.tally),
  bill: RunBill.toJson(RunBill.make(state)),
  batches: [...state.shards.values()].map(batch)
})

/**
 * The manifest as the text of its file.
 *
 * @since 0.1.0
 * @category destructors
 */
export const format = (state: RunState): string => `${JSON.stringify(make(state), null, 2)}\n`
