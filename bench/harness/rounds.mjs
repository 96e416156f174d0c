/**
 * Programs measured in turns, so that what else the machine does meets them all alike.
 */
import { median, seconds, times } from "./figures.mjs"

/** @typedef {import("./programs.mjs").Ended} Ended */

/**
 * One program: all of its work, and the same with next to nothing to do, which tells what its start and end cost.
 *
 * @typedef {object} Contender
 * @property {() => Promise<ReadonlyArray<Ended>>} work programs whose times add up
 * @property {() => Promise<ReadonlyArray<Ended>>} [idle]
 */

/**
 * What rounds gave for one program, as medians.
 *
 * @typedef {object} Figures
 * @property {number} millis without those of the idle program
 * @property {number} cpuMillis of all threads, without those of the idle program
 * @property {number} peak bytes
 * @property {ReadonlyArray<number>} all the times of all rounds, without the median of the idle ones
 */

/** @param {ReadonlyArray<Ended>} ended */
const together = (ended) => ({
  millis: ended.reduce((sum, one) => sum + one.millis, 0),
  cpuMillis: ended.reduce((sum, one) => sum + one.cpuMillis, 0),
  peak: Math.max(...ended.map((one) => one.peak))
})

/**
 * @param {ReadonlyArray<ReturnType<typeof together>>} work
 * @param {ReadonlyArray<ReturnType<typeof together>>} idle
 * @returns {Figures}
 */
const figuresOf = (work, idle) => {
  const idleMillis = idle.length === 0 ? 0 : median(idle.map(({ millis }) => millis))
  const idleCpuMillis = idle.length === 0 ? 0 : median(idle.map(({ cpuMillis }) => cpuMillis))
  const all = work.map(({ millis }) => millis - idleMillis)
  return {
    millis: median(all),
    cpuMillis: median(work.map(({ cpuMillis }) => cpuMillis)) - idleCpuMillis,
    peak: median(work.map(({ peak }) => peak)),
    all
  }
}

/**
 * Runs all programs in turn, as many times as there are rounds.
 *
 * @template {Readonly<Record<string, Contender | undefined>>} Contenders
 * @param {number} rounds
 * @param {Contenders} contenders
 * @returns {Promise<{ [Name in keyof Contenders]: Contenders[Name] extends Contender ? Figures : Figures | undefined }>}
 */
export const measure = async (rounds, contenders) => {
  const all = Object.entries(contenders).flatMap(([name, contender]) =>
    contender === undefined ? [] : [{
      name,
      contender,
      work: /** @type {Array<ReturnType<typeof together>>} */ ([]),
      idle: /** @type {Array<ReturnType<typeof together>>} */ ([])
    }]
  )
  for (let round = 0; round < rounds; round++) {
    for (const { contender, idle, work } of all) {
      if (contender.idle !== undefined) idle.push(together(await contender.idle()))
      work.push(together(await contender.work()))
    }
  }
  /** @type {any} */
  const figures = Object.fromEntries(all.map(({ idle, name, work }) => [name, figuresOf(work, idle)]))
  return figures
}

/**
 * How many times as long one program took as another, by the medians. In words: the times themselves, the least and most
 * of the rounds, and the ratio of what the processors did, which a busy machine changes less.
 *
 * @param {Figures} ours
 * @param {Figures} theirs
 */
export const compare = (ours, theirs) => {
  const ratios = ours.all.map((millis, round) => millis / (theirs.all[round] ?? Number.NaN))
  const processor = ours.cpuMillis / theirs.cpuMillis
  return {
    ratio: ours.millis / theirs.millis,
    inDetail: [
      `${seconds(ours.millis)} to ${seconds(theirs.millis)}`,
      `${times(Math.min(...ratios))} to ${times(Math.max(...ratios))}`,
      ...Number.isFinite(processor) ? [`processor time ${times(processor)}`] : []
    ].join("; ")
  }
}
