/**
 * Whether an answer is usable: what a schema, a job or your own code says of it beyond that it came.
 *
 * @since 0.1.0
 */
import type { Request } from "./Request.js"

/**
 * What is wrong with an answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnswerProblem {
  /**
   * What kind of thing is wrong: `invalid_json`, `invalid_answer`, or a word of the check's own. `refused` and
   * `truncated` are said of answers that stopped before they could be right.
   */
  readonly code: string
  /** Where in the answer, as `$.translations[2].text`; `$` for the whole. */
  readonly path: string
  /** What is wrong there, in words that the model understands too: a repair sends them back to it. */
  readonly problem: string
}

/**
 * Looks at one answer, and gives what is wrong with it; `undefined` when it can be used.
 *
 * `answer` is the text of the answer, `request` the row that it answers. Plain synchronous code, called once for each
 * row on the row path; equal arguments must give equal problems, since results are made again after a crash.
 *
 * @example
 * ```ts
 * import type { AnswerCheck } from "llm-batch/AnswerCheck"
 *
 * const short: AnswerCheck = (answer) =>
 *   answer.length <= 80 ? undefined : { code: "too_long", path: "$", problem: "it must have at most 80 characters" }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type AnswerCheck = (answer: string, request: Request) => AnswerProblem | undefined

/**
 * Several checks as one: the first problem that one of them finds.
 *
 * @since 0.1.0
 * @category combinators
 */
export const all = (checks: ReadonlyArray<AnswerCheck>): AnswerCheck => (answer, request) => {
  for (const check of checks) {
    const problem = check(answer, request)
    if (problem !== undefined) return problem
  }
  return undefined
}

/**
 * Whether sending the problem back to the model may lead to a right answer: not when it declined, or had no room.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isRepairable = (problem: Pick<AnswerProblem, "code">): boolean =>
  problem.code !== "refused" && problem.code !== "truncated"
