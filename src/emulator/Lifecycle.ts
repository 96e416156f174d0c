/**
 * Where a batch stands at a moment: a pure function of its timeline and the time, so that nothing has to run in between.
 *
 * @since 0.1.0
 */

/**
 * What decides over a batch's course. Times are emulated milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Timeline {
  readonly createdAt: number
  readonly validating: number
  readonly processing: number
  readonly finalizing: number
  readonly cancelling: number
  readonly window: number
  /** Validation found errors. */
  readonly invalid: boolean
  /** How the plan wants it to end, whatever the time. */
  readonly ending: "expired" | "cancelled" | undefined
  /** Share of the work that is done when the plan makes it expire; 1 leaves it to the rows. */
  readonly doneAtEnding: number
  /** Whether it expires at the end of its window only. */
  readonly waitForWindow: boolean
  /** When somebody asked to cancel it. */
  readonly cancelledAt: number | undefined
}

/**
 * OpenAI's eight statuses; Anthropic's three follow from them.
 *
 * @since 0.1.0
 * @category models
 */
export type Status =
  | "validating"
  | "failed"
  | "in_progress"
  | "finalizing"
  | "completed"
  | "expired"
  | "cancelling"
  | "cancelled"

/**
 * A batch at a moment. A time is there when it has come.
 *
 * @since 0.1.0
 * @category models
 */
export interface Moment {
  readonly status: Status
  readonly ended: boolean
  /** Share of the work that is done; it stands still once the batch is stopped. */
  readonly progress: number
  readonly expiresAt: number
  readonly inProgressAt?: number
  readonly finalizingAt?: number
  readonly completedAt?: number
  readonly failedAt?: number
  readonly expiredAt?: number
  readonly cancellingAt?: number
  readonly cancelledAt?: number
}

/**
 * When a batch ended, if it has.
 *
 * @since 0.1.0
 * @category accessors
 */
export const endedAt = (moment: Moment): number | undefined =>
  moment.completedAt ?? moment.expiredAt ?? moment.cancelledAt ?? moment.failedAt

/** How the work on a batch ends: when, by what, and how much of it is done then. */
interface Stop {
  readonly at: number
  readonly by: "done" | "expiry" | "cancel"
  readonly progress: number
}

const stopOf = (timeline: Timeline, begin: number, expiresAt: number): Stop => {
  const done = begin + timeline.processing
  const progressAt = (at: number) =>
    timeline.processing === 0 ? 1 : Math.max(0, Math.min(1, (at - begin) / timeline.processing))
  const natural: Stop = timeline.ending === "expired"
    ? {
      at: timeline.waitForWindow ? expiresAt : Math.min(done, expiresAt),
      by: "expiry",
      progress: timeline.doneAtEnding
    }
    : done > expiresAt
    ? { at: expiresAt, by: "expiry", progress: progressAt(expiresAt) }
    : { at: done, by: timeline.ending === "cancelled" ? "cancel" : "done", progress: 1 }
  const cancel = timeline.cancelledAt
  return cancel !== undefined && cancel < natural.at
    ? { at: cancel, by: "cancel", progress: Math.min(progressAt(cancel), natural.progress) }
    : natural
}

/**
 * Where a batch stands at the time `now`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const at = (timeline: Timeline, now: number): Moment => {
  const expiresAt = timeline.createdAt + timeline.window
  const begin = timeline.createdAt + timeline.validating
  if (timeline.invalid) {
    return now < begin
      ? { status: "validating", ended: false, progress: 0, expiresAt }
      : { status: "failed", ended: true, progress: 0, expiresAt, failedAt: begin }
  }
  const stop = stopOf(timeline, begin, expiresAt)
  const started = begin <= Math.min(now, stop.at)
  const base = { expiresAt, ...(started ? { inProgressAt: begin } : {}) }
  if (now < stop.at) {
    const progress = timeline.processing === 0 ? 0 : Math.max(0, (now - begin) / timeline.processing)
    return {
      ...base,
      status: started ? "in_progress" : "validating",
      ended: false,
      progress: Math.min(progress, stop.progress)
    }
  }
  if (stop.by === "cancel") {
    const end = stop.at + timeline.cancelling
    const cancelling = { ...base, progress: stop.progress, cancellingAt: stop.at }
    return now < end
      ? { ...cancelling, status: "cancelling", ended: false }
      : { ...cancelling, status: "cancelled", ended: true, cancelledAt: end }
  }
  const end = stop.at + timeline.finalizing
  const finalizing = { ...base, progress: stop.progress, finalizingAt: stop.at }
  if (now < end) return { ...finalizing, status: "finalizing", ended: false }
  return stop.by === "expiry"
    ? { ...finalizing, status: "expired", ended: true, expiredAt: end }
    : { ...finalizing, status: "completed", ended: true, completedAt: end }
}
