/**
 * Finds the requests in the body that creates an Anthropic batch, `{"requests": [...]}`, without holding it in memory.
 *
 * Only the outer object and the array are read here; each value inside is handed on as a range of bytes.
 *
 * @since 0.1.0
 */

/**
 * What a scan meets, in order.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handler {
  /** A key of the outer object and where its value stands; the range of `requests` is not told when it is an array. */
  readonly member: (keyStart: number, keyEnd: number, valueStart: number, valueEnd: number) => void
  /** An element of `requests`. */
  readonly element: (start: number, end: number) => void
  /** Whether the key in this range is `requests`. */
  readonly isRequests: (keyStart: number, keyEnd: number) => boolean
}

type Expect =
  | "object"
  | "keyOrEnd"
  | "key"
  | "colon"
  | "value"
  | "commaOrEnd"
  | "elementOrEnd"
  | "element"
  | "elementCommaOrEnd"
  | "nothing"

const isSpace = (byte: number) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

/**
 * A scanner that is fed block by block. `feed` gives false, for good, when the text cannot be such an object; whether
 * the values are JSON is for the handler to find out.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (handler: Handler) => {
  let expect: Expect = "object"
  let sawRequests = false
  let keyStart = 0
  let keyEnd = 0
  // The value under way: a string (or key), a container with its depth, or a scalar.
  let kind: "none" | "key" | "string" | "container" | "scalar" = "none"
  let start = 0
  let depth = 0
  let quoted = false
  let escaped = false

  const finish = (end: number) => {
    if (kind === "key") {
      keyStart = start
      keyEnd = end
      expect = "colon"
    } else if (expect === "element" || expect === "elementOrEnd") {
      handler.element(start, end)
      expect = "elementCommaOrEnd"
    } else {
      handler.member(keyStart, keyEnd, start, end)
      expect = "commaOrEnd"
    }
    kind = "none"
  }

  const begin = (byte: number, at: number): boolean => {
    start = at
    escaped = false
    if (byte === 0x22) {
      kind = "string"
    } else if (byte === 0x7b || byte === 0x5b) {
      kind = "container"
      depth = 1
      quoted = false
    } else {
      kind = "scalar"
    }
    return byte !== 0x5d && byte !== 0x7d && byte !== 0x2c && byte !== 0x3a
  }

  /** One byte outside of any value. */
  const between = (byte: number, at: number): boolean => {
    if (isSpace(byte)) return true
    switch (expect) {
      case "object":
        expect = "keyOrEnd"
        return byte === 0x7b
      case "keyOrEnd":
      case "key":
        if (byte === 0x7d && expect === "keyOrEnd") {
          expect = "nothing"
          return true
        }
        start = at
        kind = "key"
        escaped = false
        return byte === 0x22
      case "colon":
        expect = "value"
        return byte === 0x3a
      case "value":
        if (byte === 0x5b && handler.isRequests(keyStart, keyEnd)) {
          sawRequests = true
          expect = "elementOrEnd"
          return true
        }
        return begin(byte, at)
      case "elementOrEnd":
      case "element":
        if (byte === 0x5d && expect === "elementOrEnd") {
          expect = "commaOrEnd"
          return true
        }
        return begin(byte, at)
      case "elementCommaOrEnd":
        expect = byte === 0x2c ? "element" : "commaOrEnd"
        return byte === 0x2c || byte === 0x5d
      case "commaOrEnd":
        expect = byte === 0x2c ? "key" : "nothing"
        return byte === 0x2c || byte === 0x7d
      case "nothing":
        return false
    }
  }

  let valid = true
  return {
    feed: (block: Buffer, offset: number): boolean => {
      for (let i = 0; i < block.length && valid; i++) {
        const byte = block[i] ?? 0
        if (kind === "none") {
          valid = between(byte, offset + i)
        } else if (kind === "container") {
          if (quoted) {
            if (escaped) escaped = false
            else if (byte === 0x5c) escaped = true
            else if (byte === 0x22) quoted = false
          } else if (byte === 0x22) quoted = true
          else if (byte === 0x7b || byte === 0x5b) depth += 1
          else if (byte === 0x7d || byte === 0x5d) {
            depth -= 1
            if (depth === 0) finish(offset + i + 1)
          }
        } else if (kind === "scalar") {
          if (isSpace(byte) || byte === 0x2c || byte === 0x7d || byte === 0x5d) {
            finish(offset + i)
            valid = between(byte, offset + i)
          }
        } else if (escaped) escaped = false
        else if (byte === 0x5c) escaped = true
        else if (byte === 0x22) finish(offset + i + 1)
      }
      return valid
    },
    /** Whether the text was whole, and had `requests` as an array. */
    end: (): { readonly complete: boolean; readonly sawRequests: boolean } => ({
      complete: valid && expect === "nothing",
      sawRequests
    })
  }
}
