/**
 * Where everything lies in a run directory. Pure functions of its path; the layout is part of the public contract.
 *
 * ```text
 * experiments/run_<id>/
 *   manifest.json                        what the run is and where it stands
 *   journal.jsonl                        every intent and every fact: the truth from which a run resumes
 *   config.yaml                          the effective configuration, without secrets
 *   rows/0001.jsonl                      row number, line, the user's id and the request, one line a row
 *   batch_inputs/<provider>/0001.jsonl   the exact bytes sent
 *   reused/0002.jsonl                    of rows that are not sent: which rows they get their answers from
 *   raw/<provider>/0001.jsonl            the exact bytes received, whatever they hold; 0001.errors.jsonl for a separate
 *                                        error file, 0001.2.jsonl for a second download where both were short
 *   parts/0001.jsonl                     normalised results of one shard, in row order
 *   results.jsonl                        one line per input row, in input order
 *   failures.jsonl                       the rows without a usable answer
 *   anomalies.jsonl                      lines of the provider's results that should not be there, if there were any
 *   cancel                               somebody asked for the run to be cancelled: nothing more is sent
 * ```
 *
 * @since 0.1.0
 */
import type { Shard } from "./Shard.js"

type Located = Pick<Shard, "directory" | "id" | "provider">

/**
 * What the run is and where it stands.
 *
 * @since 0.1.0
 * @category paths
 */
export const manifest = (directory: string): string => `${directory}/manifest.json`

/**
 * Every intent and every fact of the run.
 *
 * @since 0.1.0
 * @category paths
 */
export const journal = (directory: string): string => `${directory}/journal.jsonl`

/**
 * The effective configuration.
 *
 * @since 0.1.0
 * @category paths
 */
export const config = (directory: string): string => `${directory}/config.yaml`

/**
 * The requests of a shard.
 *
 * @since 0.1.0
 * @category paths
 */
export const rows = (shard: Located): string => `${shard.directory}/rows/${shard.id}.jsonl`

/**
 * The exact bytes of a shard.
 *
 * @since 0.1.0
 * @category paths
 */
export const batchInput = (shard: Located): string =>
  `${shard.directory}/batch_inputs/${shard.provider}/${shard.id}.jsonl`

/**
 * Which rows the rows of a shard get their answers from, where they are not sent, since others of the input ask the same.
 *
 * @since 0.1.0
 * @category paths
 */
export const reused = (shard: Located): string => `${shard.directory}/reused/${shard.id}.jsonl`

/**
 * The directory of what the provider sent back.
 *
 * @since 0.1.0
 * @category paths
 */
export const rawDirectory = (shard: Located): string => `${shard.directory}/raw/${shard.provider}`

/**
 * A file that the provider sent back.
 *
 * @since 0.1.0
 * @category paths
 */
export const raw = (shard: Located, name: string): string => `${rawDirectory(shard)}/${name}`

/**
 * The normalised results of a shard.
 *
 * @since 0.1.0
 * @category paths
 */
export const part = (shard: Located): string => `${shard.directory}/parts/${shard.id}.jsonl`

/**
 * One line per input row, in input order.
 *
 * @since 0.1.0
 * @category paths
 */
export const results = (directory: string): string => `${directory}/results.jsonl`

/**
 * The rows without a usable answer.
 *
 * @since 0.1.0
 * @category paths
 */
export const failures = (directory: string): string => `${directory}/failures.jsonl`

/**
 * Where runs are kept when nobody says otherwise, below the working directory.
 *
 * @since 0.1.0
 * @category paths
 */
export const defaultParent = "experiments"

/**
 * The odd lines in the results of a shard, where there were any.
 *
 * @since 0.1.0
 * @category paths
 */
export const partAnomalies = (shard: Located): string => `${shard.directory}/parts/${shard.id}.anomalies.jsonl`

/**
 * The odd lines in the results of all shards: repeated, contradicting, unexpected and unreadable ones.
 *
 * @since 0.1.0
 * @category paths
 */
export const anomalies = (directory: string): string => `${directory}/anomalies.jsonl`

/**
 * The mark that nothing more is to be sent, for whichever process runs this.
 *
 * @since 0.1.0
 * @category paths
 */
export const cancelRequest = (directory: string): string => `${directory}/cancel`
