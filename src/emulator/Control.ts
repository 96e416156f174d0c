/**
 * The emulator's own API, below `/_emulator/`, for those who do not have it in process. It needs no key.
 *
 * - `GET /_emulator/health`: `{"status": "ok"}`;
 * - `GET /_emulator/books`: the `Books`;
 * - `POST /_emulator/faults`: replaces the plan by the `FaultPlan` in the body;
 * - `POST /_emulator/advance`: moves the emulated time on by the `{"seconds": number}` in the body.
 *
 * @since 0.1.0
 */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Books from "./Books.js"
import type { Route } from "./Endpoint.js"
import { FaultPlan } from "./FaultPlan.js"
import type { State } from "./State.js"

/**
 * Replaces the plan; what was counted for the faults of the old one is forgotten.
 *
 * @since 0.1.0
 * @category running
 */
export const setFaults = (state: State, faults: FaultPlan): void => {
  state.faults = faults
  state.strikes.clear()
  state.faulted.clear()
}

const Advance = Schema.Struct({ seconds: Schema.NonNegative })

/** Answers with what `use` makes of the body, or says what is wrong with it. */
const accept = <A, I>(schema: Schema.Schema<A, I>, use: (value: A) => void) =>
  HttpServerRequest.schemaBodyJson(schema, { onExcessProperty: "error" }).pipe(
    Effect.map((value) => {
      use(value)
      return HttpServerResponse.unsafeJson({ status: "ok" })
    }),
    Effect.catchTags({
      ParseError: (error) =>
        Effect.succeed(HttpServerResponse.unsafeJson(
          { error: { message: ParseResult.TreeFormatter.formatErrorSync(error) } },
          { status: 400 }
        )),
      RequestError: () =>
        Effect.succeed(HttpServerResponse.unsafeJson({ error: { message: "The body is not JSON." } }, { status: 400 }))
    })
  )

/**
 * @since 0.1.0
 * @category constructors
 */
export const routes = (state: State): ReadonlyArray<Route> => [
  HttpRouter.makeRoute("GET", "/_emulator/health", Effect.succeed(HttpServerResponse.unsafeJson({ status: "ok" }))),
  HttpRouter.makeRoute(
    "GET",
    "/_emulator/books",
    Effect.map(
      Effect.flatMap(Books.make(state), (books) => Effect.orDie(Schema.encode(Books.Books)(books))),
      (books) => HttpServerResponse.unsafeJson(books)
    )
  ),
  HttpRouter.makeRoute("POST", "/_emulator/faults", accept(FaultPlan, (faults) => setFaults(state, faults))),
  HttpRouter.makeRoute(
    "POST",
    "/_emulator/advance",
    accept(Advance, ({ seconds }) => state.time.advance(seconds * 1000))
  )
]
