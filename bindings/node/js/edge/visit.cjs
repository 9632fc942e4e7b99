'use strict'

// Drives the visits (HTTP requests) of a web site in edge runtimes, with `fetch` and a store written in JavaScript.

const { callMethod, saveEmptyRecord } = require('./store.cjs')
const { splitHead } = require('../web/fields.cjs')

/** The largest body of a forwarded call, in bytes: it is held in memory until the API has accepted the token. */
const MAX_FORWARDED = 10 << 20

/** Makes a store call, and passes its result to the visit. */
async function passStoreResult(visit, { store }, call, pass) {
  if (store === undefined) return visit.hasNone()
  const result = await call(store)
  if (result.failure !== undefined) return visit.failedWith(result.failure)
  return result.why === undefined ? pass(result) : visit.failed(result.why)
}

/** Carries out each kind of step. */
const steps = {
  load(visit, { key }, host) {
    return passStoreResult(visit, host, (store) => store.call({ verb: 'load', key }), ({ version, record }) => visit.loaded(version, record))
  },
  lease(visit, { key, holder, ms }, host) {
    return passStoreResult(visit, host, (store) => store.call({ verb: 'lease', key, holder, ms }), ({ ms = 0 }) => visit.leased(ms))
  },
  save(visit, { key, record, version, due, until }, host) {
    const request = { verb: 'save', key, record, version, due, until }
    return passStoreResult(visit, host, (store) => store.call(request), ({ version }) => visit.saved(version))
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
    const result = await callMethod('admit function', admit, { verb: 'admit', key: id, record })
    // Without a decision of the application, this is an error rather than a refusal.
    if (result.why !== undefined) throw new Error(overdue(result.why))
    return result.refused === undefined ? visit.admitted(result.record) : visit.refused(result.refused)
  },
  /** Requests cannot wait for each other's promises here: this request connects, and the others poll. */
  async connect(visit, { id }, { admit }) {
    const result = await callMethod('client function', admit, { verb: 'client', key: id })
    if (result.why !== undefined) return visit.unconnected('lost.unknown', result.why)
    if (result.failed === undefined) return visit.connected(result.setup.intoHandle())
    const { code, why: reason, retryAfter } = result.failed
    return visit.unconnected(code, reason, retryAfter)
  },
  async provider(visit, { record }, { admit, id, overdue }) {
    if (admit === undefined) return visit.provided()
    const result = await callMethod('provider function', admit, { verb: 'provider', key: id, record })
    if (result.why !== undefined) throw new Error(overdue(result.why))
    return visit.provided(result.setup?.intoHandle())
  },
}

/** Drives a visit to its end. */
async function driveVisit(visit, host) {
  try {
    let step = visit.begin()
    while (step.kind !== 'end') step = await steps[step.kind](visit, step, host)
    const { forward, ...outcome } = step.told
    const { held } = step
    if (held?.hasTokens) outcome.held = { tokens: held.tokens, end: () => driveVisit(held.end(), host) }
    return forward === undefined ? outcome : { ...outcome, forward: new Forward(forward, host) }
  } finally {
    visit.free()
  }
}

/** A page's call to an API, to be forwarded. */
class Forward {
  #handle
  #host

  constructor(handle, host) {
    this.#handle = handle
    this.#host = host
  }

  get limit() {
    return MAX_FORWARDED
  }

  /** Forwards the call with this body, once, and returns the response with its body as a stream. `getSource` returns the token source of a grant. */
  async send(body, getSource) {
    const { Source, createSingleSourceApi } = require('../api.cjs')
    const { method, url, headers, provider, grant } = this.#handle.call
    // A 429 is passed on: the page decides when to retry.
    const source = getSource(provider, grant)
    const client = Source.getClientHandle(source)
    // A DPoP-bound token needs proofs signed with the client's key.
    const apiHandle = client === undefined ? this.#handle.api() : this.#handle.api().calledBy(client)
    const api = createSingleSourceApi(apiHandle, source, { onRateLimit: 'pass' })
    let response
    try {
      response = await api.fetch(url, { method, headers, body: body?.length > 0 ? body : undefined })
    } catch (error) {
      // The grant has ended, and with it the session.
      if (error?.advice === 'reauthorize') return driveVisit(this.#handle.tokensOver(), this.#host)
      throw error
    }
    // `fetch` has already decompressed the body.
    const fields = [...response.headers].filter(([name]) => name !== 'content-encoding')
    const reader = response.body?.getReader()
    const stream = {
      chunk: async () => (await reader?.read())?.value,
      cancel: () => reader?.cancel().catch(() => {}),
    }
    return { status: response.status, headers: this.#handle.responseHeaders(fields).headers, stream, notes: [] }
  }
}

/** The native half of a site, driven in JavaScript. */
class NativeSite {
  #handle
  #host
  #begun

  constructor(handle, host) {
    this.#handle = handle
    this.#host = host
  }

  owns(path) {
    return this.#handle.owns(path)
  }

  formLimit(method, path) {
    return this.#handle.formLimit(method, path)
  }

  /** The function that begins the visit of a request: always null, which means that `proceed` has to follow at once. */
  beginner() {
    return (at, head, form, need) => {
      this.#begun = { ...splitHead(head), at, form, need }
      return null
    }
  }

  /** Handles the request whose visit has just begun. */
  async proceed(id) {
    const begun = this.#begun
    this.#begun = undefined
    return driveVisit(this.#handle.visit(begun), { ...this.#host, id })
  }

  /** Waits for the client of a provider; asks the application for it if necessary. */
  async connect(provider) {
    await driveVisit(this.#handle.connect(provider), this.#host)
  }

  /** Signs a user in for a test: the response sets the cookies. */
  async testing(identity, id) {
    return driveVisit(this.#handle.testing(identity), { ...this.#host, id })
  }
}

module.exports = { NativeSite }
