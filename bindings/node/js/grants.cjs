'use strict'

// `Grants`: all grants of one client in one store, with renewal, logout and listing.

const { inspect } = require('#host')
const native = require('#native')
const { endOfCallback } = require('./callback-context.cjs')
const { Client, createSource } = require('./client.cjs')
const { MAX_WAIT, reload, removeRecord, revokeTokens } = require('./end-grant.cjs')
const { OAuthError, errorFromNative, callNative, methodMissingError, waitTimeoutError } = require('./errors.cjs')
const { checkLimit } = require('./exchange.cjs')
const { excludeRenewals } = require('./hold.cjs')
const { kindError } = require('./kinds.cjs')
const { checkStore, drainKeepers } = require('./renewal.cjs')
const { tokenRequestArguments } = require('./operation-support.cjs')
const { checkOptions } = require('./options.cjs')
const { rateLimited } = require('./renewal-limits.cjs')
const { GrantSource } = require('./source.cjs')
const { MAX_SAVE_ATTEMPTS, addStepUp, stepUpKey, endBeside, foundIn, isList, nothing, selectSurplus, takeTurn, unreadable } = require('./step-ups.cjs')
const { nativeTokens } = require('./tokens.cjs')
const { asyncDispose } = require('./value.cjs')

/** The number of records that are requested from the store at once. */
const PAGE_SIZE = 100
/** The number of grants that are renewed at once. */
const CONCURRENT_RENEWALS = 8

const COUNTED_EVENTS = ['renewed', 'waits', 'failed', 'suspect', 'ended', 'unsaved', 'stored_late', 'authorization_ends', 'lease_lost']

/** A grant's members without the provider's own parameters, which may be secret. */
function withoutExtra({ extra, ...rest }) {
  return rest
}

/** Groups the values of pairs by name, as options expect them. */
function groupByName(pairs) {
  const extra = {}
  for (const [name, value] of pairs) (extra[name] ??= []).push(value)
  return extra
}

/** Calls `end`, which ends a grant. If its revocation fails, the error is added to `failures`: the grant has ended all the same. */
async function endNotingFailure(failures, end) {
  try {
    return await end()
  } catch (error) {
    if (!(error instanceof OAuthError) || error.endpoint === 'store') throw error
    failures.push(error)
    return undefined
  }
}

/** All grants of a client in a store: one for each user, and the client's own. */
class Grants {
  #client
  #store
  #keep
  #capacity
  #hooks
  #turn
  /** All sources that are still in memory, by their key. */
  #sources = new Map()
  /** The sources that this object keeps in memory, least recently used first. */
  #held = new Map()
  #collected = new FinalizationRegistry((key) => {
    if (this.#sources.get(key)?.deref() === undefined) this.#sources.delete(key)
  })
  #counters = Object.fromEntries(COUNTED_EVENTS.map((event) => [event, 0]))

  constructor(client, store, options) {
    const { reuse, leaseMs, keepAliveMs, noticeMs, capacity = 10_000, perSecond = 0, atOnce = 0, ...hooks } = checkOptions('Grants', options)
    const { onRenewed, onEnded, onAuthorizationEnds } = hooks
    if (!(client instanceof Client)) throw kindError('client must be a Client', client)
    if (checkStore(store) === undefined) throw new TypeError('store must be given')
    for (const [name, hook] of Object.entries({ onRenewed, onEnded, onAuthorizationEnds })) {
      if (hook !== undefined && typeof hook !== 'function') throw new TypeError(`${name} must be a function`)
    }
    for (const [name, count] of Object.entries({ capacity, perSecond, atOnce })) {
      if (!(Number.isSafeInteger(count) && count >= 0)) throw new TypeError(`${name} must be an integer of 0 or more`)
    }
    this.#client = client
    this.#store = store
    this.#keep = { reuse, leaseMs, keepAliveMs, noticeMs }
    this.#capacity = capacity
    this.#hooks = { onRenewed, onEnded, onAuthorizationEnds }
    this.#turn = rateLimited({ perSecond, atOnce })
  }

  /** The source of one grant: a user's, or the client's own. Callers of the same grant share it. */
  get(subject, options) {
    const { request, parts } = this.#identify(subject, options)
    const key = JSON.stringify(parts)
    const source = this.#sources.get(key)?.deref() ?? this.#createSource(key, subject, request)
    this.#held.delete(key)
    this.#held.set(key, source)
    this.#evict()
    return source
  }

  /** The identity of a grant, `[subject, requestKey, stepUp]`, and its request. */
  #identify(subject, options) {
    const { scope, stepUp: requestedStepUp, ...requestOptions } = checkOptions('Grants.get', options)
    const stepUp = stepUpKey(requestedStepUp)
    const request = { ...requestOptions, stepUp, scope: typeof scope?.next === 'function' ? [...scope] : scope }
    const requestKey = callNative(() => native.requestKey(tokenRequestArguments(request)))
    return { request, parts: [subject ?? null, requestKey, stepUp ?? null] }
  }

  #createSource(key, subject, request) {
    const { onRenewed, onEnded, onAuthorizationEnds } = this.#hooks
    const grantType = subject === undefined ? 'client_credentials' : 'refresh_token'
    const source = createSource(this.#client, grantType, {
      ...this.#keep,
      store: this.#store,
      subject,
      ...request,
      turn: this.#turn,
      grants: this,
      logOut: () => this.logOut(subject, request),
      onTokens: onRenewed && ((tokens) => onRenewed(subject, tokens)),
      onNotice: (event, { error, at }) => {
        this.#counters[event] += 1
        if (event === 'ended') onEnded?.(subject, error)
        if (event === 'authorization_ends') onAuthorizationEnds?.(subject, at)
      },
    })
    this.#sources.set(key, new WeakRef(source))
    this.#collected.register(source, key)
    return source
  }

  /** Evicts the least recently used sources beyond the capacity. Sources in use, or with unsaved tokens, stay in memory. */
  #evict() {
    for (let attempts = 0; attempts < 2 && this.#held.size > this.#capacity; attempts += 1) {
      const [key, source] = this.#held.entries().next().value
      this.#held.delete(key)
      if (!GrantSource.getKeeper(source).isStored) this.#held.set(key, source)
    }
  }

  /** Stores the tokens of a new login in place of the stored record; those of a step-up are stored beside the ordinary ones. */
  async logIn(subject, tokens, options) {
    const ordinary = this.get(subject, checkOptions('Grants.logIn', options))
    const stepUp = stepUpKey(nativeTokens(tokens).stepUp() ?? undefined)
    if (stepUp === undefined) return await ordinary.logIn(tokens)
    const failures = []
    const makeRoom = () => this.#makeRoom(subject, options, failures)
    const source = this.get(subject, { ...options, stepUp })
    const endTurn = await takeTurn(this.#store, GrantSource.getKeeper(source))
    try {
      const seen = await this.#loadVersion(source.key)
      await addStepUp(this.#store, ordinary.key, stepUp, makeRoom)
      await GrantSource.logInSeen(source, tokens, seen)
    } finally {
      await endTurn?.()
    }
    await makeRoom()
    if (failures.length > 0) throw failures[0]
    return undefined
  }

  /** The version of a record. A record that cannot be read is removed: any login replaces it. */
  async #loadVersion(key) {
    const entry = await this.#loadIfReadable(key)
    if (entry !== unreadable) return entry?.version ?? 0
    await removeRecord(this.#store, key)
    return (await this.#store.load(key))?.version ?? 0
  }

  async #loadIfReadable(key) {
    try {
      return (await this.#store.load(key)) ?? undefined
    } catch (error) {
      if (error.code === 'stored.sealed' || error.code === 'stored.malformed') return unreadable
      throw error
    }
  }

  /** Ends the step-ups of an ordinary grant for which `isSelected` is true, regardless of what the store now has for them. */
  async #endBeside(subject, options, isSelected, failures, clear) {
    const { key } = this.get(subject, { ...options, stepUp: undefined })
    await endBeside(this.#store, key, async (listed) => {
      const selected = listed.filter(isSelected)
      for (const stepUp of selected) await endNotingFailure(failures, () => this.#end(subject, { ...options, stepUp }))
      return selected
    }, clear)
  }

  /**
   * Ends the expired step-ups of an ordinary grant, and the oldest beyond the number allowed. A grant that another worker
   * stores or renews meanwhile is left to the next login.
   */
  async #makeRoom(subject, options, failures) {
    const keeperOf = (stepUp) => GrantSource.getKeeper(this.get(subject, { ...options, stepUp }))
    await endBeside(this.#store, keeperOf(undefined).key, async (listed) => {
      const ended = []
      for (const { stepUp, found } of await selectSurplus(listed, (one) => this.#loadIfReadable(keeperOf(one).key))) {
        const keeper = keeperOf(stepUp)
        // If it is not stored, a login of this worker is still waiting for the store: it is not ended.
        const endTurn = keeper.isStored ? await takeTurn(this.#store, keeper, 0) : undefined
        if (endTurn === undefined) continue
        const endIt = () => (found === unreadable ? this.#end(subject, { ...options, stepUp }) : this.#endFound(keeper, found))
        try {
          if (await endNotingFailure(failures, endIt) !== false) ended.push(stepUp)
        } finally {
          await endTurn()
        }
      }
      return ended
    })
  }

  /**
   * Ends a grant: waits for a renewal under way, revokes the tokens, and removes the record. The record is removed even
   * if the revocation fails. With an ordinary grant, those of step-ups end too.
   */
  async logOut(subject, options) {
    const { request, parts } = this.#identify(subject, options)
    const outside = endOfCallback('logOut', (owner) => this.#endedWith(parts).has(owner))
    if (outside !== undefined) await outside
    const failures = []
    const attempt = async (work) => {
      try {
        await work()
      } catch (error) {
        failures.push(error)
      }
    }
    const onlyStepUp = request.stepUp
    const isSelected = (stepUp) => onlyStepUp === undefined || stepUp === onlyStepUp
    // A logout of all step-ups deletes an unreadable list of them, and reports its error.
    const clear = onlyStepUp === undefined ? (error) => (failures.push(error), []) : undefined
    const stepUps = () => this.#endBeside(subject, request, isSelected, failures, clear)
    if (subject !== undefined) await attempt(stepUps)
    await attempt(() => this.#end(subject, request))
    // Again, because a step-up login may have been stored in the meantime.
    if (subject !== undefined) await attempt(stepUps)
    if (failures.length > 0) throw failures[0]
  }

  /** Ends one grant, and none beside it. */
  #end(subject, options) {
    return GrantSource.end(this.get(subject, options))
  }

  /** Ends the grant that was found, but not one that a later login has stored. Returns whether the store still had the grant that was found. */
  async #endFound(keeper, found) {
    const release = found === nothing ? undefined : await excludeRenewals(this.#store, keeper, MAX_WAIT, () => {})
    const failures = []
    try {
      for (let attempts = 0; attempts < MAX_SAVE_ATTEMPTS; attempts += 1) {
        const entry = await this.#loadIfReadable(keeper.key)
        if (foundIn(entry) !== found) return false
        if (found !== nothing && attempts === 0) {
          await (async () => {
            keeper.learn(entry)
            await revokeTokens(this.#client, keeper.tokens)
          })().catch((error) => void failures.push(error))
        }
        if ((await this.#store.save(keeper.key, '', entry?.version ?? 0)) ?? undefined) {
          await reload(this.#store, keeper)
          if (failures.length > 0) throw failures[0]
          return true
        }
      }
    } finally {
      await release?.()
    }
    throw waitTimeoutError('other workers keep saving the record')
  }

  /** A page of the grants of this client in the store; `next` is the cursor of the next page. */
  async list(cursor) {
    const { keys, next } = await this.#optionalMethod('scan')(cursor)
    const page = { grants: [], unreadable: [], next: next ?? undefined }
    for (const key of keys) {
      const { grant, code } = await this.#summary(key)
      if (grant) page.grants.push(withoutExtra(grant))
      if (code) page.unreadable.push({ key, code })
    }
    return page
  }

  async #summary(key) {
    if (isList(key)) return {}
    const entry = await this.#store.load(key)
    if (!entry?.record) return {}
    let summary
    try {
      summary = native.outline(entry.record)
    } catch (error) {
      return { code: errorFromNative(error).code }
    }
    const { issuer, clientId, expiresAt, refreshTokenExpiresAt, authorizationExpiresAt, stepUp, ...details } = summary
    const belongsToClient = issuer === this.#client.server.issuer && clientId === this.#client.clientId
    if (!belongsToClient) return {}
    const date = (ms) => (typeof ms === 'number' ? new Date(ms) : undefined)
    const ends = { expiresAt: date(expiresAt), refreshTokenExpiresAt: date(refreshTokenExpiresAt), authorizationExpiresAt: date(authorizationExpiresAt) }
    const required = typeof stepUp === 'string' ? { stepUp: JSON.parse(stepUp) } : {}
    return { grant: { ...details, ...required, ...ends } }
  }

  /** Renews grants that have been unused for at least this time, because unused refresh tokens expire. */
  async renewIdle(unusedMs) {
    checkLimit(unusedMs, 'unusedMs')
    const outcome = { renewed: 0, failed: [] }
    await this.#renewDue(new Date(Date.now() - unusedMs), outcome, (source) => source.token())
    if (this.#keep.keepAliveMs !== undefined) await this.#renewDue(new Date(), outcome, (source) => this.#keepAlive(source))
    return outcome
  }

  /** The renewal that keeps a grant alive, if one is due. */
  async #keepAlive(source) {
    await reload(this.#store, GrantSource.getKeeper(source))
    return GrantSource.keepAliveRenewal(source)
  }

  /** Renews the grants whose records are due in the store before this time, once each. */
  async #renewDue(before, outcome, renew) {
    const due = this.#optionalMethod('due')
    const handledKeys = new Set()
    for (;;) {
      // Records whose renewal failed are still due, and are listed first.
      const keys = (await due(before, PAGE_SIZE + handledKeys.size)).filter((key) => !handledKeys.has(key))
      if (keys.length === 0) return
      for (const key of keys) handledKeys.add(key)
      for (let start = 0; start < keys.length; start += CONCURRENT_RENEWALS) {
        await Promise.all(keys.slice(start, start + CONCURRENT_RENEWALS).map((key) => this.#renewOne(key, outcome, renew)))
      }
    }
  }

  async #renewOne(key, outcome, renew) {
    try {
      const { grant, code } = await this.#summary(key)
      if (code) outcome.failed.push({ key, code })
      if (!grant) return
      const { subject, scope, resource, audience, extra, stepUp } = grant
      const source = this.get(subject ?? undefined, { scope, resource, audience, stepUp, extra: groupByName(extra) })
      if (await renew(source)) outcome.renewed += 1
    } catch (error) {
      outcome.failed.push({ key, code: error.code })
    }
  }

  /** An optional method of the store; throws if the store lacks it. */
  #optionalMethod(verb) {
    const method = this.#store[verb]
    if (typeof method !== 'function') throw methodMissingError(verb)
    return method.bind(this.#store)
  }

  /** The keepers of the sources in memory with such an identity. */
  #keepersOf(isSelected) {
    const refs = [...this.#sources].filter(([key]) => isSelected(JSON.parse(key))).map(([, sourceRef]) => sourceRef.deref())
    return new Set(refs.filter(Boolean).map(GrantSource.getKeeper))
  }

  /** The keepers of the grants that a logout ends: with a user's ordinary grant, those of its step-ups. */
  #endedWith([subject, requestKey, stepUp]) {
    const isEnded = (other) => other === stepUp || (stepUp === null && subject !== null)
    return this.#keepersOf(([otherSubject, otherKey, other]) => otherSubject === subject && otherKey === requestKey && isEnded(other))
  }

  /** Shuts all sources down gracefully, like `source.drain`. */
  async drain(options) {
    const keepers = this.#keepersOf(() => true)
    await drainKeepers((keeper) => keepers.has(keeper), options, () => keepers.forEach((keeper) => keeper.drain()))
  }

  /** Drains all sources. */
  async close() {
    await this.drain()
  }

  async [asyncDispose]() {
    await this.close()
  }

  /** The number of events of each kind that this object has seen. */
  get counters() { return { ...this.#counters } }

  /** The number of sources that this object keeps in memory. */
  get inMemory() { return this.#held.size }

  [inspect.custom](depth, options) {
    return `Grants ${inspect({ issuer: this.#client.server.issuer }, options)}`
  }
}

module.exports = { Grants }
