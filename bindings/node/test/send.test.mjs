// Requests over `send`: a function that takes a request as a plain object, instead of `fetch`.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { core, rejection, serverAt } from './helper.mjs'

const { Client, DeniedError, LostError, MalformedError, Network, Server, discover, keep, run } = core
const BASE = 'http://127.0.0.1:1'
const JSON_TYPE = [['content-type', 'application/json']]
const grant = (name, more) => JSON.stringify({ access_token: name, token_type: 'Bearer', expires_in: 3600, ...more })
const createClient = (send, more) => new Client(serverAt(BASE), { clientId: 'id', clientSecret: 's', send, ...more })

/** Gives these replies in turn, and keeps what was asked. */
function replying(...replies) {
  const seen = []
  const send = async (request) => {
    seen.push(request)
    return { status: 200, headers: JSON_TYPE, ...replies[Math.min(seen.length, replies.length) - 1] }
  }
  return { seen, send }
}

test('send receives a request as a plain object, and returns a string or bytes', async () => {
  const text = grant('t', { name: 'Zoë' })
  for (const body of [text, Buffer.from(text), new TextEncoder().encode(text)]) {
    const { seen, send } = replying({ body })
    const tokens = await createClient(send).clientCredentials({ scope: 'read' }).token()
    assert.deepEqual([tokens.accessToken, tokens.extra], ['t', { name: 'Zoë' }])
    const [{ method, url, headers, body: form, signal, ...others }] = seen
    assert.deepEqual([method, url, others], ['POST', `${BASE}/token`, {}])
    const fields = new Headers(headers)
    assert.equal(fields.get('authorization'), `Basic ${btoa('id:s')}`)
    assert.equal(fields.get('content-type'), 'application/x-www-form-urlencoded')
    assert.deepEqual([...new URLSearchParams(form)].sort(), [['grant_type', 'client_credentials'], ['scope', 'read']])
    assert.ok(signal instanceof AbortSignal && !signal.aborted)
  }
})

test('callers share one request, a refused token is replaced, and onTokens is called', async () => {
  const { seen, send } = replying({ body: grant('one') }, { body: grant('two', { scope: 'a b', x: 1 }) })
  const events = []
  const source = createClient(send).clientCredentials({ onTokens: ({ accessToken }) => events.push(accessToken) })
  const all = await Promise.all(Array.from({ length: 1000 }, () => source.token()))
  assert.ok(all.every((tokens) => tokens === all[0] && tokens.accessToken === 'one'))
  assert.equal(await source.token(), all[0])
  const [second, same] = await Promise.all([source.renew(all[0]), source.renew(all[0])])
  assert.equal(second, same)
  assert.deepEqual([second.scope, second.extra], [['a', 'b'], { x: 1 }])
  assert.equal(await source.renew(all[0]), second)
  source.invalidate(all[0])
  assert.equal(await source.token(), second)
  assert.deepEqual([seen.length, events], [2, ['one', 'two']])
})

test('an error response is reported unchanged, and its retry delay is respected', async () => {
  const busy = { status: 503, headers: new Headers({ 'Retry-After': '70' }), body: '' }
  const { seen, send } = replying({ status: 400, body: '{"error":"invalid_scope"}' }, busy)
  const source = createClient(send).clientCredentials()
  const refused = await rejection(source.token())
  assert.ok(refused instanceof DeniedError)
  assert.deepEqual([refused.code, refused.status, refused.endpoint], ['denied.invalid_scope', 400, 'token'])
  for (const repeated of [false, true]) {
    const error = await rejection(source.token())
    assert.deepEqual([error.code, error.repeated], ['denied.busy', repeated])
    assert.ok([70, 71].includes(error.retryAfter))
  }
  assert.equal(seen.length, 2)
})

test('errors of send are mapped to loss codes', async () => {
  const failed = (code) => Object.assign(new Error('no'), { code })
  const losses = [[failed('ECONNREFUSED'), 'lost.connect'], [failed('ECONNRESET'), 'lost.closed'], ['so', 'lost']]
  for (const [thrown, code] of losses) {
    const error = await rejection(createClient(() => Promise.reject(thrown)).clientCredentials().token())
    assert.ok(error instanceof LostError)
    assert.equal(error.code, code)
  }
  const sync = createClient(() => { throw failed('ENOTFOUND') })
  assert.equal((await rejection(sync.clientCredentials().token())).code, 'lost.dns')
})

test('a response body over one mebibyte is rejected', async () => {
  const largestResponse = grant('t').padEnd(1 << 20)
  assert.ok((await createClient(replying({ body: largestResponse }).send).clientCredentials().token()).accessToken)
  const { send } = replying({ body: `${largestResponse} ` })
  const error = await rejection(createClient(send).clientCredentials().token())
  assert.ok(error instanceof MalformedError)
  assert.equal(error.code, 'reply.too_large')
})

test('a shared request ends by its own timeout, not with an aborted caller', async () => {
  let requests = 0
  const neverResponding = ({ signal }) => new Promise((_, fail) => {
    requests += 1
    signal.addEventListener('abort', () => fail(signal.reason))
  })
  const late = await rejection(createClient(neverResponding, { timeoutMs: 20 }).clientCredentials().token())
  assert.deepEqual([late.code, late.endpoint], ['lost.timeout', 'token'])
  const source = createClient(neverResponding, { timeoutMs: 200 }).clientCredentials()
  const leave = new AbortController()
  const leader = source.token({ signal: leave.signal })
  const follower = source.token()
  leave.abort(new Error('enough'))
  assert.equal((await rejection(leader)).message, 'enough')
  assert.equal((await rejection(source.token({ timeoutMs: 10 }))).code, 'lost.timeout')
  assert.equal(requests, 2)
  assert.equal((await rejection(follower)).code, 'lost.timeout')
  // A call of its own is cut with its signal.
  const signal = AbortSignal.timeout(20)
  const call = createClient(neverResponding).password({ username: 'u', password: 'p' }, { signal })
  assert.equal((await rejection(call)).name, 'TimeoutError')
})

test('close waits for a renewal in progress', async () => {
  let respond
  const send = () => new Promise((done) => { respond = () => done({ status: 200, headers: JSON_TYPE, body: grant('last') }) })
  const source = createClient(send).clientCredentials()
  const waiting = source.token()
  const closed = source.close()
  await pause(5)
  respond()
  await closed
  assert.equal((await waiting).accessToken, 'last')
  source.invalidate(await source.token())
  assert.equal((await rejection(source.token())).code, 'token_source.closed')
})

test('each entry point accepts send', async () => {
  const metadata = JSON.stringify({ issuer: BASE, token_endpoint: `${BASE}/token` })
  const found = await discover(BASE, { transport: 'loopback_http', send: replying({ body: metadata }).send })
  assert.ok(found instanceof Server)
  const { send } = replying({ body: grant('t') })
  assert.equal((await run(createClient().exchange.clientCredentials(), { send })).accessToken, 't')
  const keeper = createClient().keeper(undefined, { grantType: 'client_credentials', shared: false })
  assert.equal((await keep(keeper, { send })).accessToken, 't')
  const network = new Network()
  for (const more of [{ fetch }, { network }]) assert.throws(() => createClient(send, more), TypeError)
  assert.throws(() => createClient('send'), TypeError)
})
