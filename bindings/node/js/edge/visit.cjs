'use strict'

// Drives the visits of a site: carries out their steps with `fetch` and a store in JavaScript.

const { callMethod, saveEmptyRecord } = require('./store.cjs')
const { pairsOf } = require('../web/fields.cjs')

/** The largest body of a call, in bytes: it is kept until the API has accepted the token. */
const MAX_FORWARDED = 10 << 20

/** Passes the result of a store call to the visit. */
async function passStoreResult(visit, { store }, ask, tell) {
  if (store === undefined) return visit.hasNone()
  const said = await ask(store)
  if (said.failure !== undefined) return visit.failedWith(said.failure)
  return said.why === undefined ? tell(said) : visit.failed(said.why)
}

/** How each kind of step is carried out. */
const steps = {
  load(visit, { key }, host) {
    return passStoreResult(visit, host, (store) => store.ask({ verb: 'load', key }), ({ version, record }) => visit.loaded(version, record))
  },
  lease(visit, { key, holder, ms }, host) {
    return passStoreResult(visit, host, (store) => store.ask({ verb: 'lease', key, holder, ms }), ({ ms = 0 }) => visit.leased(ms))
  },
  save(visit, { key, record, version, due, until }, host) {
    const ask = { verb: 'save', key, record, version, due, until }
    return passStoreResult(visit, host, (store) => store.ask(ask), ({ version }) => visit.saved(version))
  },
  remove(visit, { key }, host) {
    return passStoreResult(visit, host, (store) => saveEmptyRecord(store, key), () => visit.removed())
  },
  async wait(visit, { ms }) {
    const { pause } = require('../exchange.cjs')
    await pause(ms)
    return visit.elapsed()
  },
  async run(visit, { exchange }) {
    const { Exchange, run } = require('../exchange.cjs')
    // The visit gets the result from the exchange itself.
    await run(new Exchange(exchange, () => undefined)).catch(() => {})
    exchange.free()
    return visit.landed()
  },
  async admit(visit, { record }, { admit, id, overdue }) {
    if (admit === undefined) return visit.admitted()
    const said = await callMethod('admit function', admit, { verb: 'admit', key: id, record })
    // The application has not decided, which is an error and not a refusal.
    if (said.why !== undefined) throw new Error(overdue(said.why))
    return said.refused === undefined ? visit.admitted(said.record) : visit.refused(said.refused)
  },
  /** In runtimes where requests cannot wait for each other, this request connects, and the others poll. */
  async connect(visit, { id }, { admit }) {
    const said = await callMethod('client function', admit, { verb: 'client', key: id })
    if (said.why !== undefined) return visit.unconnected('lost.unknown', said.why)
    if (said.failed === undefined) return visit.connected(said.setup.given())
    const { code, why, retryAfter } = said.failed
    return visit.unconnected(code, why, retryAfter)
  },
  async provider(visit, { record }, { admit, id, overdue }) {
    if (admit === undefined) return visit.provided()
    const said = await callMethod('provider function', admit, { verb: 'provider', key: id, record })
    if (said.why !== undefined) throw new Error(overdue(said.why))
    return visit.provided(said.setup?.given())
  },
}

/** Drives a visit to its end. */
async function driveVisit(visit, host) {
  try {
    let step = visit.begin()
    while (step.kind !== 'end') step = await steps[step.kind](visit, step, host)
    const { forward, ...told } = step.told
    const { held } = step
    if (held?.hasTokens) told.held = { tokens: held.tokens, end: () => driveVisit(held.end(), host) }
    return forward === undefined ? told : { ...told, forward: new Forward(forward, host) }
  } finally {
    visit.free()
  }
}

/** A page's call to an API, to be forwarded. */
class Forward {
  #known
  #host

  constructor(known, host) {
    this.#known = known
    this.#host = host
  }

  get limit() {
    return MAX_FORWARDED
  }

  /** Forwards the call with this body, once, and returns the response with its body as a stream. `sourceOf` returns the token source of a grant. */
  async send(body, sourceOf) {
    const { Source, apiOfOne } = require('../api.cjs')
    const { method, url, headers, provider, grant } = this.#known.call
    // A 429 is passed on: the page handles the pause.
    const source = sourceOf(provider, grant)
    const client = Source.clientOf(source)
    // A DPoP-bound token needs proofs by the client's key.
    const known = client === undefined ? this.#known.api() : this.#known.api().calledBy(client)
    const api = apiOfOne(known, source, { onRateLimit: 'pass' })
    let reply
    try {
      reply = await api.fetch(url, { method, headers, body: body?.length > 0 ? body : undefined })
    } catch (error) {
      // The grant has ended, and so the session.
      if (error?.advice === 'reauthorize') return driveVisit(this.#known.tokensOver(), this.#host)
      throw error
    }
    // `fetch` has already decompressed the body.
    const fields = [...reply.headers].filter(([name]) => name !== 'content-encoding')
    const reader = reply.body?.getReader()
    const stream = {
      chunk: async () => (await reader?.read())?.value,
      cancel: () => reader?.cancel().catch(() => {}),
    }
    return { status: reply.status, headers: this.#known.responseHeaders(fields).headers, stream, notes: [] }
  }
}

/** The native half of a site, driven in JavaScript. */
class NativeSite {
  #known
  #host

  constructor(known, host) {
    this.#known = known
    this.#host = host
  }

  owns(path) {
    return this.#known.owns(path)
  }

  formLimit(method, path) {
    return this.#known.formLimit(method, path)
  }

  /** Handles a request. */
  async visit(given) {
    return driveVisit(this.#known.visit({ ...given, headers: pairsOf(given.headers) }), { ...this.#host, id: given.id })
  }

  /** Waits for the client of a provider, and requests it if necessary. */
  async connect(provider) {
    await driveVisit(this.#known.connect(provider), this.#host)
  }

  /** Signs a user in for a test: the response sets the cookies. */
  async testing(identity, id) {
    return driveVisit(this.#known.testing(identity), { ...this.#host, id })
  }
}

module.exports = { NativeSite }
