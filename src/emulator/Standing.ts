/**
 * Where the batches of an emulator stand, by its options and its time.
 *
 * @since 0.1.0
 */
import * as Lifecycle from "./Lifecycle.js"
import type { State, StoredBatch } from "./State.js"

const timeline = ({ options }: State, batch: StoredBatch): Lifecycle.Timeline => {
  const openAi = batch.provider === "openai"
  return {
    createdAt: batch.createdAt,
    validating: openAi ? options.validating * 1000 : 0,
    processing: options.processing * 1000,
    finalizing: openAi ? options.finalizing * 1000 : 0,
    cancelling: options.cancelling * 1000,
    window: options.window * 1000,
    invalid: batch.errors.length > 0,
    ending: batch.expires ? "expired" : batch.ending,
    doneAtEnding: batch.expires ? batch.plan.expireBatchesAnswered : 1,
    waitForWindow: batch.plan.waitForWindow,
    cancelledAt: batch.cancelledAt
  }
}

/**
 * Where a batch stands now, as far as its rows are read.
 *
 * @since 0.1.0
 * @category accessors
 */
export const now = (state: State, batch: StoredBatch): Lifecycle.Moment =>
  Lifecycle.at(timeline(state, batch), state.time.now())
