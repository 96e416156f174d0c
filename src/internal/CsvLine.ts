/**
 * Lines of CSV: fields with a comma, a quote or a line break are quoted, a line ends in a line feed.
 */

/** A field as it stands in a line. */
export const cell = (text: string): string => /[",\r\n]/u.test(text) ? `"${text.replaceAll("\"", "\"\"")}"` : text

/** A line of these cells, with its end. Half of a surrogate pair becomes U+FFFD. */
export const csvLine = (cells: ReadonlyArray<string>): string => `${cells.map(cell).join(",")}\n`.toWellFormed()
