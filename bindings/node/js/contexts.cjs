'use strict'

// Checks the contexts of an application that connects to several servers, tools or tenants (mix-up defence).

const native = require('#native')
const { Client, nativeClient } = require('./client.cjs')
const { callNative } = require('./errors.cjs')
const { kindError } = require('./kinds.cjs')
const { checkOptions } = require('./options.cjs')
const { checkText, textOrUrl } = require('./paths.cjs')

/** Checks all configured contexts of an application. */
function checkContexts(contexts) {
  if (typeof contexts?.[Symbol.iterator] !== 'function') throw new TypeError('contexts must be a list of contexts')
  const nativeContexts = new native.NativeContexts()
  for (const context of contexts) {
    const { id, owner, client, redirectUri } = checkOptions('checkContexts', context)
    if (!(client instanceof Client)) throw kindError('client must be a Client', client)
    const uri = textOrUrl(redirectUri, 'redirectUri')
    callNative(() => nativeContexts.add(checkText(id, 'id'), checkText(owner, 'owner'), nativeClient(client), uri))
  }
  callNative(() => nativeContexts.check())
}

/** The redirect URI of one context: `redirectUri` with the context's identifier appended as a path segment. */
function redirectUriOfContext(redirectUri, id) {
  const uri = textOrUrl(redirectUri, 'redirectUri')
  return callNative(() => native.NativeContexts.redirectUri(uri, checkText(id, 'id')))
}

module.exports = { checkContexts, redirectUriOfContext }
