'use strict'

// Carries out calls from the native half to JavaScript objects: stores, key holders, and functions that sign users in.

const { getNativeFailure } = require('./errors.cjs')
const { Step, causeText } = require('./exchange.cjs')
const { storeCalls } = require('./renewal.cjs')
const { DeviceAuthorizationResponse } = require('./ops.cjs')
const { Tokens, nativeTokens } = require('./tokens.cjs')

/** The function through which the addon calls the methods of `object`. `name` names the object in errors. */
function callHandler(name, methods, object) {
  return (callback) => {
    handleCall(callback, name, methods, object)
  }
}

async function handleCall(callback, name, methods, object) {
  const { ask } = callback
  try {
    const result = await methods[ask.verb](object, ask)
    if (result.setup) callback.answerProvider(result.setup)
    else if (result.failed) callback.failedAs(result.failed.code, result.failed.why, result.failed.retryAfter)
    else callback.answer(result)
  } catch (error) {
    const failure = getNativeFailure(error)
    if (failure) callback.failedWith(failure)
    // Not the error's own message, which may contain a URL with a password.
    else callback.failed(`the ${name} threw ${causeText(error)}`)
  }
}

const orUndefined = (value) => value ?? undefined
const toDate = (ms) => (typeof ms === 'number' ? new Date(ms) : undefined)

const storeMethods = {
  load: async (store, { key }) => orUndefined(await storeCalls.load(store, key)) ?? {},
  save: async (store, { key, record, version, due, until }) => {
    const task = { record, version, due: toDate(due), until: toDate(until) }
    return { version: orUndefined(await storeCalls.save(store, key, task)) }
  },
  lease: async (store, { key, holder, ms }) => ({ ms: await storeCalls.lease(store, key, { holder, ms }) }),
  remove: async (store, { key }) => {
    if (typeof store.remove !== 'function') return { absent: true }
    return { removed: Boolean(await store.remove(key)) }
  },
  scan: async (store, { cursor }) => {
    if (typeof store.scan !== 'function') return { absent: true }
    const { keys, next } = await store.scan(orUndefined(cursor))
    return { keys, next: orUndefined(next) }
  },
  due: async (store, { due, limit }) => {
    if (typeof store.due !== 'function') return { absent: true }
    return { keys: await store.due(new Date(due), limit) }
  },
}

const keyServiceMethods = {
  data_key: async (source) => {
    const { id, key } = await source.dataKey()
    return { id, key }
  },
  unwrap_key: async (source, { key: id }) => ({ key: orUndefined(await source.unwrapKey(id)) }),
}

const userMethods = {
  open: async (user, { key: url }) => {
    await user.open(new URL(url))
    return {}
  },
  show_code: async (user, { record: code }) => {
    await user.show(DeviceAuthorizationResponse.of(JSON.parse(code)))
    return {}
  },
  sign_in: async (user, { record: refused }) => {
    const tokens = await user.signIn(refused === undefined ? undefined : Tokens.deserialize(refused))
    return { record: nativeTokens(tokens).serialize() }
  },
  hold: async (user, { ms }) => {
    const held = await user.hold(ms)
    return held === undefined ? { absent: true } : { record: nativeTokens(held.tokens).serialize(), id: held.id }
  },
  release: async (user, { key: id }) => {
    await user.release(id)
    return {}
  },
}

const siteMethods = {
  admit: ({ admit }, { record, key: id }) => admit(JSON.parse(record), id),
  client: ({ connect }, { key: id }) => connect(id),
  provider: async ({ find }, { record, key: id }) => {
    const setup = await find(JSON.parse(record), id)
    return setup === undefined ? { absent: true } : { setup }
  },
}

/** The methods of a key held outside this process, for this algorithm. WebCrypto returns signatures as an ArrayBuffer. */
const keyHolderMethods = (alg) => ({
  sign: async (sign, { key: keyId, record }) => {
    const signature = await sign(new Step({ kind: 'sign', keyId, alg, signingInput: new TextEncoder().encode(record) }))
    const bytes = signature instanceof ArrayBuffer ? new Uint8Array(signature) : signature
    if (!(bytes instanceof Uint8Array)) throw new TypeError('a signature must be a Uint8Array or an ArrayBuffer')
    return { signature: bytes }
  },
})

const assertionMethods = {
  assertion: async (read, { key: audience, until }) => ({ assertion: await read({ audience, expiresAt: toDate(until) }) }),
}

/** The callback that calls a store written in JavaScript. */
const storeCallbacks = (store) => callHandler('store', storeMethods, store)

/** The callback that calls a key service. */
const keyServiceCallbacks = (source) => callHandler('key service', keyServiceMethods, source)

/** The callback that signs with a held key. */
const keyHolderCallbacks = (sign, alg) => callHandler('key holder', keyHolderMethods(alg), sign)

/** The callback that gets a workload's token. */
const assertionCallbacks = (read) => callHandler('assertion function', assertionMethods, read)

/** The callback that shows a page or a code to the user, or gets the tokens of their sign-in elsewhere. */
const userCallbacks = (user) => callHandler('open function', userMethods, user)

/** The callback that decides whether a user is admitted, and looks up providers. */
const siteCallbacks = (site) => callHandler('site', siteMethods, site)

module.exports = { assertionCallbacks, keyHolderCallbacks, userCallbacks, siteCallbacks, keyServiceCallbacks, storeCallbacks }
