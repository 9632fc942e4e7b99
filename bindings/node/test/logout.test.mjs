// Logout without a site: the form that logs a user out, and front-channel logout requests.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { core } from './helper.mjs'

const { Client, FrontChannelLogout, Server, checkLogoutReturn } = core
const issuer = 'https://as.example'
const metadata = { issuer, end_session_endpoint: `${issuer}/logout?tenant=a&b=1` }
const client = new Client(Server.fromMetadata(issuer, metadata), { clientId: 'id' })

test('a logout form contains the parameters, escaped', () => {
  const form = client.endSessionForm({
    idTokenHint: 'a.b.c', logoutHint: '"><script>', postLogoutRedirectUri: new URL('https://rp.example/bye'), state: 's', uiLocales: 'de en',
  })
  assert.equal(form.action, metadata.end_session_endpoint)
  assert.deepEqual(form.fields, {
    id_token_hint: 'a.b.c', logout_hint: '"><script>', client_id: 'id', post_logout_redirect_uri: 'https://rp.example/bye', state: 's',
    ui_locales: 'de en',
  })
  assert(form.html.includes('action="https://as.example/logout?tenant=a&amp;b=1"'), form.html)
  assert(form.html.includes('name="logout_hint" value="&quot;&gt;&lt;script&gt;"'), form.html)
  assert(form.contentSecurityPolicy.includes("script-src 'sha256-"))
  for (const shown of [inspect(form, { depth: 5, showHidden: true }), JSON.stringify(form)]) assert(!shown.includes('a.b.c'), shown)
  const requestWithHttpUri = () => client.endSessionForm({ postLogoutRedirectUri: 'http://rp.example/bye' })
  assert.throws(requestWithHttpUri, { code: 'redirect_uri.refused' })
  assert.throws(() => client.endSessionForm({ idToken: 'a.b.c' }), TypeError)
})

const errorCode = (call) => {
  try {
    call()
  } catch (error) {
    return error.code ?? error.name
  }
}

test('the return from a logout is verified by its state', () => {
  for (const [url, code] of [
    ['https://rp.example/bye?state=s1', undefined],
    [new URL('https://rp.example/bye?state=s1'), undefined],
    ['state=s1&x=1', undefined],
    ['https://rp.example/bye?state=s2', 'logout.state'],
    ['https://rp.example/bye', 'logout.state'],
    ['https://rp.example/bye?state=s1&state=s1', 'logout.malformed'],
  ]) assert.equal(errorCode(() => checkLogoutReturn(url, { state: 's1' })), code, String(url))
  assert.equal(errorCode(() => checkLogoutReturn('state=undefined', {})), 'TypeError')
})

test('a front-channel logout ends the session with its issuer and sid', () => {
  for (const [url, ends] of [
    ['https://rp.example/fc?iss=https%3A%2F%2Fas.example&sid=s', true],
    ['iss=https://as.example&sid=t', false],
    ['iss=https://other.example&sid=s', false],
    ['https://rp.example/fc', true],
  ]) {
    const request = new FrontChannelLogout(url)
    assert.equal(request.ends({ issuer, sid: 's' }), ends, url)
    // A session without a `sid` never matches a request with one.
    assert.equal(request.ends({ issuer }), !url.includes('iss'), url)
  }
  for (const url of ['sid=s', 'iss=https://as.example', 'sid=s&sid=s&iss=a', '?sid=%ff']) {
    assert.equal(errorCode(() => new FrontChannelLogout(url)), 'logout.malformed', url)
  }
  assert.equal(errorCode(() => new FrontChannelLogout('').ends({ sid: 's' })), 'TypeError')
})
