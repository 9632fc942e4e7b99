// The page that plays conversations: the package's own modules around its machines, without a network.
// It knows no protocol and no answer.

import { generateFlowValues as fresh, hashed } from '/js/random.js'
import { prepare } from '/js/client-from-config.js'
import { OAuthError, signIn, stepUp } from '/js/index.js'
import * as operations from '/js/ops.js'
import { begin } from '/js/session.js'
import { resumeWithWebCrypto } from '/js/webcrypto.js'
import { ready } from '/js/wasm.js'

const wasm = await ready()
const REDIRECT_URI = 'https://app.example/callback'

/** One conversation: what was made of its configuration, and what it left behind so far. */
class Party {
  #server
  #client
  #call
  #machine
  #pending
  #tokens
  #pair
  /** The prepared client of a conversation whose calls are made by one. */
  #lasting
  #now
  #shown = []

  constructor({ server, client }) {
    this.#server = server
    this.#client = client
  }

  #show(...things) {
    for (const thing of things) {
      const members = thing instanceof Error ? { ...thing, cause: String(thing.cause), stack: thing.stack } : thing
      this.#shown.push(String(thing), JSON.stringify(members) ?? '')
    }
  }

  /** What `signIn` makes of a configuration before it asks anybody. */
  async #prepared(more) {
    if (this.#client.dpop === null) return this.#made(more)
    return (this.#lasting ??= await this.#made(more))
  }

  async #made({ redirectUri = REDIRECT_URI, ...more } = {}) {
    const { preset, variables, options, issuer, metadata, stored } = this.#server
    const { id, secret, dpop, redirect_uris: registered } = this.#client
    const config = {
      provider: preset ?? undefined,
      variables,
      options,
      issuer: issuer ?? undefined,
      metadata: metadata ?? undefined,
      clientId: id,
      ...more,
      redirectUri: registered?.[0] ?? redirectUri,
      // One that this conversation alone has.
      dpop: dpop === null ? undefined : this.#pair ??= await generated(),
    }
    // A page with a secret gets no further than this.
    if (secret !== null) await signIn({ ...config, clientSecret: secret })
    const prepared = await prepare(config)
    if (stored) {
      prepared.server = wasm.Server.fromJson(stored)
      prepared.client = new wasm.Client(prepared.server, id, config.redirectUri, [])
    }
    this.#show(prepared.client, prepared.server)
    return prepared
  }

  /** The session of these tokens, which calls this API. */
  async #session(tokens, api) {
    const prepared = await this.#prepared()
    const session = await begin({ ...prepared, config: { ...prepared.config, api, tabs: false } }, tokens)
    this.#show(session)
    return session
  }

  async turn({ now, hold, input }) {
    this.#now = now
    this.#shown = []
    let output
    try {
      output = await this.take(input, hold)
    } catch (error) {
      if (error instanceof OAuthError) this.#show(error)
      output = error instanceof OAuthError ? { error: errorMembers(error) } : { threw: String(error) }
    }
    return { said: output, shown: this.#shown }
  }

  async take(input, hold) {
    const [name, data] = typeof input === 'string' ? [input] : Object.entries(input)[0]
    const make = this.#calls[name] ?? (operations[name] && ((args) => this.#operation(name, args)))
    if (make) {
      this.#call = name
      this.#machine = await make(data)
      return hold ? 'open' : this.#toOutput(this.#machine.begin(this.#now))
    }
    const act = this.#others[name]
    return act ? act(data) : this.#toOutput(this.#answer(name, data))
  }

  /** Any operation of the table: what is asked about tokens is about those at hand. */
  async #operation(name, { tokens, token, ...rest }) {
    const { client } = await this.#prepared()
    if (tokens !== undefined) rest.tokens = this.#held(tokens)
    if (token !== undefined) rest.token = token ?? this.#held(null)[camel(rest.token_type_hint ?? 'access_token')]
    return operations[name](client, toCamelCaseNames(rest))
  }

  #calls = {
    redeem: async ({ callback, flow }) => (await this.#prepared()).client.redeem(flow ?? this.#pending, callback),
    discover: ({ issuer, transport }) => wasm.Server.discover(issuer, transport === 'loopback_http'),
    begin_authorization: async ({ redirect_uri: redirectUri, ...rest }) => {
      const { client } = await this.#prepared({ redirectUri })
      return operations.beginAuthorization(client, await fresh(), { redirectUri, ...toCamelCaseNames(rest) })
    },
  }

  #others = {
    server: async () => ({ server: serverMembers((await this.#prepared()).server) }),
    step_up: async ({ status, challenges }) => {
      const headers = challenges.map((challenge) => ['www-authenticate', challenge])
      return { step_up: (await stepUp(new Response(null, { status, headers }))) ?? null }
    },
    authorize: async (authorizeInput) => {
      const { redirect_uri: redirectUri, response_type: type, response_mode: mode, resource } = authorizeInput
      // What a page configures, and asks for with each sign-in.
      const config = { redirectUri, responseType: type ?? undefined, responseMode: mode ?? undefined, resource }
      const { client } = await this.#prepared(config)
      const { scope, authorization_details: details, extra, drawn } = authorizeInput
      const challenge = await hashed(drawn.verifier)
      const signInOptions = { scope, authorizationDetails: details ?? undefined, extra, ...config }
      // A page says by its session which tokens were not enough.
      if (authorizeInput.step_up !== null) Object.assign(signInOptions, { stepUp: authorizeInput.step_up, tokens: this.#tokens })
      const machine = operations.beginAuthorization(client, { ...drawn, challenge }, signInOptions)
      const started = machine.begin(this.#now).authorization()
      this.#show(started)
      this.#pending = started.pending
      return { authorized: { url: started.url, flow: started.pending } }
    },
    // The header is on the one request that a session sends for its caller.
    attach: async ({ url, headers, body, origins: api, tokens }) => {
      // A session goes by the system's clock, and would renew what was received long ago.
      const ageless = { ...JSON.parse(this.#held(tokens).toJson()), expires_in: null }
      const session = await this.#session(wasm.Tokens.fromJson(JSON.stringify(ageless)), api ?? undefined)
      const method = body === null ? 'GET' : 'POST'
      const { sent } = await withReplies([{ status: 200, headers: [], body: '' }], () =>
        session.fetch(url, { method, headers, body: body ?? undefined }))
      return { attached: new Headers(sent[0].headers).get('authorization') }
    },
    call_api: async ({ method, url, body, streams, origins: api, tokens, replies }) => {
      const session = await this.#session(this.#held(tokens), api)
      const content = streams ? { body: new Blob([body]).stream(), duplex: 'half' } : { body: body ?? undefined }
      const called = { status: null, error: null }
      const { sent } = await withReplies(replies, async (sent) => {
        try {
          called.status = (await session.fetch(url, { method, ...content })).status
        } catch (error) {
          if (!(error instanceof OAuthError)) throw error
          // What is said of a request that nothing answers is not asked.
          if (sent.length <= replies.length) called.error = errorMembers(error)
        }
      })
      return { called: { ...called, sent } }
    },
    // Seen from what the rules do next.
    verdict: ({ status, headers }) => {
      const url = 'https://api.example/'
      const call = new wasm.Api([url], false).call('GET', url, [], false, 'pass', 0)
      call.begin(this.#now, 0)
      call.token(this.#now, 0, wasm.Tokens.bearer('text'))
      return { verdict: { renews: call.reply(this.#now, 0, status, headers.flat()) === 'renew' } }
    },
  }

  #answer(name, data) {
    const machine = this.#machine
    switch (name) {
      case 'reply': {
        const body = new TextEncoder().encode(data.body)
        return machine.reply(this.#now, data.status, data.headers.flat(), body)
      }
      case 'lost':
        return data === 'too_large' ? machine.tooLarge(this.#now) : machine.lost(this.#now, data)
      default:
        return machine[name](this.#now)
    }
  }

  async #toOutput(first) {
    let step = first
    while (['sign', 'verify'].includes(step.kind)) {
      step = await resumeWithWebCrypto(this.#machine, step, this.#lasting?.config.sign, this.#now)
    }
    this.#show(step, this.#machine)
    switch (step.kind) {
      case 'send': {
        const { method, url, headers: flat } = step
        const headers = flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1]]] : []))
        return { send: { method, url, headers, body: new TextDecoder().decode(step.body) } }
      }
      case 'sleep':
        return { sleep: step.millis / 1000 }
      default:
        return { done: this.#done(step) }
    }
  }

  /** A step gives away what it ended with, once; which of them, the call decides. */
  #done(step) {
    if (this.#call === 'revoke') return 'nothing'
    if (this.#call === 'userinfo') {
      const claims = JSON.parse(step.claims)
      return { record: { subject: claims.sub, claims } }
    }
    if (this.#call === 'discover') return { server: serverMembers(step.server()) }
    if (this.#call === 'begin_authorization') {
      const authorization = step.authorization()
      this.#show(authorization)
      this.#pending = authorization.pending
      return { authorized: { url: authorization.url, expires_in: null } }
    }
    const tokens = step.tokens()
    this.#tokens = tokens
    this.#show(tokens)
    return {
      tokens: {
        stored: tokens.toJson(),
        access_token: tokens.accessToken,
        id_token: tokens.idToken ?? null,
        scope: tokens.scope,
        authorization_details: JSON.parse(tokens.authorizationDetails() ?? 'null'),
        expires_at: tokens.expiresAt ?? null,
      },
    }
  }

  #held(stored) {
    const tokens = stored === null ? this.#tokens : wasm.Tokens.fromJson(stored)
    this.#show(tokens)
    return tokens
  }
}

const generated = () => crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])

/** Runs `work` with a `fetch` that returns these replies in order. */
async function withReplies(replies, work) {
  const sent = []
  const originalFetch = globalThis.fetch
  globalThis.fetch = async (request) => {
    const { method, url, headers } = request
    sent.push({ method, url, headers: [...headers], body: await request.text() })
    const reply = replies[sent.length - 1]
    if (reply === undefined) throw new TypeError('there is no other reply')
    return redirected(request, new Response(reply.body || null, reply))
  }
  try {
    await work(sent)
    return { sent }
  } finally {
    globalThis.fetch = originalFetch
  }
}

/** What a browser makes of a redirect: it follows it, or hides where it leads. */
function redirected(request, reply) {
  if (![301, 302, 303, 307, 308].includes(reply.status)) return reply
  if (request.redirect === 'follow') return fetch(new Request(reply.headers.get('location'), request))
  if (request.redirect === 'error') throw new TypeError('redirected')
  return Object.defineProperties(new Response(), { type: { value: 'opaqueredirect' }, status: { value: 0 } })
}

/** A name as this language says it. */
const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase())
const toCamelCaseNames = (options) =>
  Object.fromEntries(Object.entries(options).map(([name, value]) => [camel(name), value]))

const serverMembers = (server) => ({
  issuer: server.issuer,
  metadata: JSON.parse(server.metadata),
  api_origins: server.apiOrigins(),
})

const errorMembers = (error) => ({
  kind: error.name.replace('Error', '').toLowerCase(),
  message: error.message,
  code: error.code,
  advice: error.advice,
  retry_after: error.retryAfter ?? null,
  endpoint: error.endpoint ?? null,
  status: error.status ?? null,
  error: error.error ?? null,
  error_description: error.errorDescription ?? null,
  extra: error.extra,
})

/** Plays one conversation, a line; its transcript is a line. */
globalThis.play = async (line) => {
  const conversation = JSON.parse(line)
  const party = new Party(conversation)
  const transcript = []
  for (const turn of conversation.talk) transcript.push(await party.turn(turn))
  return JSON.stringify(transcript)
}
