/**
 * The five steps of a run by name, in their order.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The five steps of a run, in their order.
 *
 * @since 0.1.0
 * @category models
 */
export const Step = Schema.Literal("build", "submit", "poll", "fetch", "normalize")

/**
 * The five steps of a run, in their order.
 *
 * @since 0.1.0
 * @category models
 */
export type Step = typeof Step.Type

/**
 * Which steps to take: `from` through `to`, both included.
 *
 * @since 0.1.0
 * @category models
 */
export interface Steps {
  readonly from: Step
  readonly to: Step
}

/**
 * All five steps.
 *
 * @since 0.1.0
 * @category constructors
 */
export const all: Steps = { from: "build", to: "normalize" }

/**
 * Whether a step is among those to be taken.
 *
 * @since 0.1.0
 * @category predicates
 */
export const includes = (steps: Steps, step: Step): boolean => {
  const position = Step.literals.indexOf(step)
  return position >= Step.literals.indexOf(steps.from) && position <= Step.literals.indexOf(steps.to)
}

/**
 * Whether a step is asked for by itself: then it is taken again, even when it was taken before.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isOnly = (steps: Steps, step: Step): boolean => steps.from === step && steps.to === step
