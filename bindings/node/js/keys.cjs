'use strict'

// `SealingKey`: the symmetric keys that encrypt stored records and cookies.

const { inspect } = require('#host')
const native = require('#native')
const { errorFromNative, callNative } = require('./errors.cjs')
const { keyServiceCallbacks } = require('./callbacks.cjs')
const { kindError } = require('./kinds.cjs')
const { checkOptions } = require('./options.cjs')
const { toPath } = require('./paths.cjs')
const { checkUnicode } = require('./unicode.cjs')

const natives = new WeakMap()

/** A key to seal with. `inspect` shows only its id. */
class SealingKey {
  constructor(key) {
    natives.set(this, nativeKey(key))
  }

  /** The key in the system's keyring for this service and name, created on first use. */
  static async fromKeyring(folder, options) {
    const { service = 'oauth-core', name = 'seal' } = checkOptions('SealingKey.fromKeyring', options)
    const path = toPath(folder)
    try {
      const keyHandle = await native.keyOfKeyring(path, String(service), String(name))
      const key = Object.create(SealingKey.prototype)
      natives.set(key, keyHandle)
      return key
    } catch (error) {
      throw errorFromNative(error)
    }
  }

  get id() {
    return natives.get(this).id
  }

  [inspect.custom](depth, options) {
    return `SealingKey ${inspect({ id: this.id }, options)}`
  }
}

/** The addon's object for a key. */
function nativeKey(key) {
  const keyHandle = natives.get(key)
  if (keyHandle !== undefined) return keyHandle
  if (typeof key !== 'string' && !(key instanceof Uint8Array)) throw kindError('a key must be a Uint8Array, a string or a SealingKey', key)
  return callNative(() => native.NativeKey.of(checkUnicode(key, 'key')))
}

const isKeyService = (value) => typeof value?.dataKey === 'function' && typeof value?.unwrapKey === 'function'

/** The sealing key, and older keys that only open records; each is a value, or held by a key service. */
function nativeKeys(current, old) {
  if (!Array.isArray(old)) throw new TypeError('old must be an array of keys')
  const { NativeKeys } = native
  const keys = callNative(() => (isKeyService(current) ? NativeKeys.ofSource(keyServiceCallbacks(current)) : NativeKeys.of(nativeKey(current))))
  for (const key of old) isKeyService(key) ? keys.alsoOfSource(keyServiceCallbacks(key)) : keys.also(nativeKey(key))
  return keys
}

module.exports = { SealingKey, nativeKey, nativeKeys }
