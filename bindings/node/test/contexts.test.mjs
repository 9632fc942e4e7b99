// The contexts of an application that is connected to several servers, tools or tenants.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { core } from './helper.mjs'

const { Client, Server, checkContexts, redirectUriOfContext } = core
const issuer = 'https://as.example'
const callback = 'https://app.example/cb'
// It promises that its callbacks name it.
const named = { issuer, authorization_response_iss_parameter_supported: true }
const unnamed = { issuer }

function context(id, { owner = 'o', metadata = named, clientId = 'app', redirectUri = callback } = {}) {
  return { id, owner, client: new Client(Server.fromMetadata(issuer, metadata), { clientId }), redirectUri }
}

const refusal = (...contexts) => {
  try {
    checkContexts(contexts)
  } catch (error) {
    return error
  }
  return undefined
}

test('contexts of different owners may not share a registration', () => {
  assert.equal(refusal(context('a'), context('b')), undefined)
  assert.equal(refusal(context('a', { owner: 'one' }), context('b', { owner: 'two', clientId: 'other' })), undefined)
  const error = refusal(context('a', { owner: 'one' }), context('b', { owner: 'two' }))
  assert.ok(error instanceof core.MisuseError)
  assert.equal(error.code, 'registration.shared')
  assert.match(error.message, /a and b/)
})

test('contexts may share a redirect URI only if the issuer sends iss', () => {
  for (const [first, second] of [[unnamed, unnamed], [named, unnamed], [unnamed, named]]) {
    const [a, b] = [context('a', { metadata: first }), context('b', { metadata: second })]
    assert.equal(refusal(a, b).code, 'redirect_uri.shared')
    assert.equal(refusal(a, { ...b, redirectUri: new URL(`${callback}/b`) }), undefined)
  }
})

test('a distinct redirect URI is derived for each context whose issuer sends no iss', () => {
  const needsDistinctUri = (metadata) => Server.fromMetadata(issuer, metadata).needsDistinctRedirectUri
  assert.deepEqual([needsDistinctUri(unnamed), needsDistinctUri(named)], [true, false])
  assert.equal(redirectUriOfContext(callback, 'b'), `${callback}/b`)
  assert.equal(redirectUriOfContext(new URL(`${callback}?x=1`), 'tenant 1/crm'), `${callback}/tenant%201%2Fcrm?x=1`)
  const [a, b] = ['a', 'b'].map((id) => context(id, { metadata: unnamed, redirectUri: redirectUriOfContext(callback, id) }))
  assert.equal(refusal(a, b), undefined)
  for (const id of ['', '.', '..', 'x'.repeat(257)]) {
    assert.throws(() => redirectUriOfContext(callback, id), { code: 'context.identifier' })
  }
  assert.throws(() => redirectUriOfContext('http://app.example/cb', 'a'), { code: 'redirect_uri.refused' })
  assert.throws(() => redirectUriOfContext(callback, 1), TypeError)
  assert.throws(() => redirectUriOfContext(undefined, 'a'), TypeError)
})

test('context identifiers must be valid and unique', () => {
  assert.equal(refusal(context('a'), context('a')).code, 'context.identifier')
  for (const id of ['', '.', '..', 'x'.repeat(257)]) assert.equal(refusal(context(id)).code, 'context.identifier')
  assert.equal(refusal(context('a', { redirectUri: 'http://app.example/cb' })).code, 'redirect_uri.refused')
  for (const wrong of [{ id: 1 }, { owner: undefined }, { client: {} }, { redirectUri: undefined }]) {
    assert.ok(refusal({ ...context('a'), ...wrong }) instanceof TypeError)
  }
  checkContexts(new Set([context('a')]))
})
