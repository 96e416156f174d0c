/**
 * The table of figures.
 */

/**
 * One line of the table.
 *
 * @typedef {object} Figure
 * @property {string} work
 * @property {string} yardstick what it is compared with
 * @property {string} goal
 * @property {string} measured
 * @property {boolean | null} met `null` when it could not be measured
 * @property {string} peak
 * @property {string} detail
 */

const heads = ["work", "yardstick", "goal", "measured", "met", "peak memory", "in detail"]

/** The table, as Markdown. @param {ReadonlyArray<Figure>} figures */
export const table = (figures) => {
  const lines = [
    heads,
    ...figures.map(({ detail, goal, measured, met, peak, work, yardstick }) => [
      work,
      yardstick,
      goal,
      measured,
      met === null ? "" : met ? "yes" : "**no**",
      peak,
      detail
    ])
  ]
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)))
  const [head, ...rest] = lines.map((line) => `| ${line.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`)
  return [head, `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...rest].join("\n")
}
