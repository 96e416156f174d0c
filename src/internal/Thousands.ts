/**
 * Whole numbers as people read them: `1,319`.
 */

/** As `toLocaleString("en")` writes it, which would load the locales each time that the command line starts. */
export const thousands = (count: number): string => String(count).replaceAll(/\B(?=(?:\d{3})+$)/gu, ",")
