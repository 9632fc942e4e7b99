// Plays conversations for the judge of tests/vectors: one a line in, one transcript a line out.
//
// It drives the installed package through its public names, and knows no protocol and no answer.
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { inspect } from 'node:util'
import {
  Client, DpopKey, PendingAuthorization, Network, OAuthError, Server, Tokens, assertionFile, clientSecretJwt, discovery, privateKeyJwt, provider,
  stepUp, workloadIdentity,
} from 'oauth-core'

const origin = import.meta.resolve('oauth-core')
if (!origin.includes('/node_modules/')) throw new Error(`${origin} is not the installed package`)

const seconds = (date) => (date === undefined ? null : date.getTime() / 1000)
/** Header fields as a driver hands them over: each byte of the text's UTF-8 a character. */
const bytes = (text) => Buffer.from(text, 'utf8').toString('latin1')

/** The assertions that a source returns. */
const folder = mkdtempSync(join(tmpdir(), 'oauth-vectors-'))
process.on('exit', () => rmSync(folder, { recursive: true }))
const file = join(folder, 'assertion')

/** Ways to authenticate that are more than a name. */
const AUTH = {
  private_key_jwt: privateKeyJwt,
  client_secret_jwt: clientSecretJwt,
  assertion_source: (_, options) => assertionFile(file, options),
  workload: (_, { platform, variables: env, ...options }) => workloadIdentity(platform, { env, ...options }),
}

/** A new key for proofs of this algorithm, at once: no turn of a conversation begins before its party is there. */
function dpopKey(alg) {
  const curves = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }
  const [type, options] = alg in curves ? ['ec', { namedCurve: curves[alg] }]
    : /^Ed/.test(alg) ? ['ed25519', {}] : ['rsa', { modulusLength: 2048 }]
  return new DpopKey(generateKeyPairSync(type, options).privateKey.export({ type: 'pkcs8', format: 'pem' }), { alg })
}

/** Inputs of a running exchange. */
const ANSWERS = new Set(['begin', 'reply', 'lost', 'elapsed', 'signed'])

/** One conversation: what was made of its configuration, and what it left behind so far. */
class Party {
  #server
  #client
  #exchange
  #flow
  #tokens
  #verifier
  #fetch
  #at
  #shown = []

  constructor({ server, client }) {
    this.#server = server
    this.#client = client
  }

  #moment = () => this.#at

  #show(...things) {
    for (const thing of things) {
      this.#shown.push(String(thing), inspect(thing, { depth: 9 }), inspect(thing, { depth: 9, showHidden: true }))
      // A flow is meant to be stored: its JSON is not checked for secrets.
      if (!(thing instanceof PendingAuthorization) && thing?.kind !== 'send') this.#shown.push(JSON.stringify(thing) ?? '')
    }
  }

  server() {
    const { preset, variables, options, issuer, metadata } = this.#server
    return preset ? provider(preset, { variables, options }) : Server.fromMetadata(issuer, metadata)
  }

  client(more) {
    const { id, secret, auth, auth_options: options, registration, redirect_uris: redirectUris, headers } = this.#client
    const { dpop } = this.#client
    const { network_certificate: clientCertificate, ...registered } = registration
    const made = AUTH[auth]?.(secret, toCamelCaseNames(options))
    const client = new Client(this.server(), {
      clientId: id,
      clientSecret: made ? undefined : secret ?? undefined,
      clientAuth: made ?? auth ?? undefined,
      redirectUris: redirectUris ?? undefined,
      headers,
      ...toCamelCaseNames(registered),
      network: clientCertificate === undefined ? undefined : new Network({ clientCertificate }),
      dpopKey: dpop === null ? undefined : dpopKey(dpop),
      ...more,
    })
    this.#show(client, client.server, client.exchange)
    return client
  }

  /** The client that keeps the server's keys, nonces, and the logout tokens it was told. */
  #verifying() {
    // Requests to an API go over the fetch of the turn.
    const fetch = (url, init) => this.#fetch(url, init)
    this.#verifier ??= this.client({ fetch })
    return this.#verifier
  }

  async turn({ now, seed, hold, input }) {
    this.#at = { now, seed: Buffer.from(seed, 'hex') }
    this.#shown = []
    let output
    try {
      output = await this.take(input, hold)
    } catch (error) {
      if (error instanceof OAuthError) this.#show(error, error.cause)
      output = error instanceof OAuthError ? { error: errorMembers(error) } : { threw: inspect(error) }
    }
    return { said: output, shown: this.#shown }
  }

  async take(input, hold) {
    const [name, data] = typeof input === 'string' ? [input] : Object.entries(input)[0]
    const act = this.#others[name]
    if (act) return act(data)
    if (!ANSWERS.has(name)) {
      this.#exchange = this.#calls[name]?.(data) ?? this.#operation(name, data)
      return hold ? 'open' : this.#toOutput(this.#exchange.begin())
    }
    return this.#toOutput(this.#answer(name, data))
  }

  /** Any operation of the table; operations on tokens use the current ones. */
  #operation(name, { tokens, token, ...rest }) {
    if (tokens !== undefined) rest.tokens = this.#held(tokens)
    if (token !== undefined) rest.token = token ?? this.#held(null)[camel(rest.token_type_hint ?? 'access_token')]
    if (typeof rest.expires_at === 'number') rest.expires_at = new Date(rest.expires_at * 1000)
    const lasts = /^(verify|take)_/.test(name) || this.#client.dpop !== null
    const client = lasts ? this.#verifying() : this.client()
    return client.exchange[camel(name)](toCamelCaseNames(rest), { moment: this.#moment })
  }

  #calls = {
    redeem: ({ callback, flow }) => {
      const client = this.#verifying()
      const held = flow === null ? this.#flow : PendingAuthorization.deserialize(flow)
      this.#show(held)
      return client.exchange.redeem(held, callback, { moment: this.#moment })
    },
    redeem_at: ({ callback, context, user }) => {
      this.#show(this.#flow)
      const arrival = { context: context ?? undefined, user: user ?? undefined }
      return this.#verifying().exchange.redeem(this.#flow, callback, { ...arrival, moment: this.#moment })
    },
    discover: ({ issuer, transport }) => discovery(issuer, { transport, moment: this.#moment }),
  }

  #others = {
    source: ([token]) => {
      if (token === null) rmSync(file, { force: true })
      else writeFileSync(file, token)
      return 'open'
    },
    server: () => ({ server: serverMembers(this.server()) }),
    step_up: ({ status, challenges }) => {
      const headers = new Headers(challenges.map((challenge) => ['www-authenticate', challenge]))
      return { step_up: stepUp({ status, headers }) ?? null }
    },
    authorize: (authorizeInput) => {
      const { redirect_uri: redirectUri, scope, response_type: type, response_mode: mode, extra } = authorizeInput
      const { resource } = authorizeInput
      const requestUri = authorizeInput.request_uri ?? undefined
      const authorizationDetails = authorizeInput.authorization_details ?? undefined
      const stepUpOptions = authorizeInput.step_up === null ? {} : { stepUp: authorizeInput.step_up, tokens: this.#tokens }
      const responseType = type ?? undefined
      const responseMode = mode ?? undefined
      const { url, flow } = this.client().authorize({
        redirectUri, scope, responseType, responseMode, extra, resource, authorizationDetails, requestUri, ...stepUpOptions,
        context: authorizeInput.context ?? undefined, user: authorizeInput.user ?? undefined,
        moment: this.#moment,
      })
      this.#flow = flow
      this.#show(flow)
      return { authorized: { url: url.href, flow: flow.serialize() } }
    },
    attach: async ({ url, headers, body, origins, tokens }) => {
      // The header is on the one request that a source sends for its caller.
      let sent
      const fetch = async (_, init) => {
        sent = new Headers(init.headers).get('authorization')
        return new Response()
      }
      // A source goes by the system's clock, and would renew what was received long ago.
      const withoutLifetime = { ...JSON.parse(this.#held(tokens).serialize()), expires_in: null }
      const held = Tokens.deserialize(JSON.stringify(withoutLifetime))
      const source = this.client({ fetch }).source(held, { origins: origins ?? undefined })
      this.#show(source)
      await source.fetch(url, { method: body === null ? 'GET' : 'POST', headers, body: body ?? undefined })
      return { attached: sent }
    },
    call_api: async ({ method, url, body, streams, origins, tokens, replies }) => {
      const sent = []
      this.#fetch = async (url, init) => {
        const headers = [...new Headers(init.headers)]
        sent.push({ method: init.method, url, headers, body: await new Response(init.body).text() })
        const reply = replies[sent.length - 1]
        if (reply === undefined) throw new TypeError('there is no other reply')
        const { status } = reply
        return new Response(reply.body, { status, headers: reply.headers.map(([name, value]) => [name, bytes(value)]) })
      }
      const source = this.#verifying().source(this.#held(tokens), { origins })
      this.#show(source)
      const content = streams ? new Blob([body]).stream() : body ?? undefined
      const called = { sent, status: null, error: null }
      try {
        called.status = (await source.fetch(url, { method, body: content })).status
      } catch (error) {
        if (error instanceof OAuthError) called.error = errorMembers(error)
        else if (sent.length <= replies.length) throw error
      }
      return { called }
    },
    verdict: async ({ status, headers }) => {
      // A source hands every reply on but the one that asks for a new token: then it asks the server.
      const calls = new Set()
      const api = 'https://api.example/'
      const fetch = async (url) => {
        calls.add(url)
        return url === api ? new Response(null, { status, headers }) : Promise.reject(new Error('asked'))
      }
      const stored = JSON.stringify({
        version: 1, issuer: this.server().issuer, client_id: this.#client.id, access_token: 'a',
        received_at: 0, expires_in: null, scope: '', refresh_token: 'r', refresh_scope: null, id_token: null,
      })
      const source = this.client({ fetch }).source(Tokens.deserialize(stored), { origins: [api] })
      await source.fetch(api).catch((error) => {
        if (!(error instanceof OAuthError)) throw error
      })
      return { verdict: { renews: calls.size > 1 } }
    },
  }

  #answer(name, data) {
    const exchange = this.#exchange
    switch (name) {
      case 'reply': {
        const headers = data.headers.map(([field, value]) => [field, bytes(value)])
        return exchange.reply({ status: data.status, headers, body: Buffer.from(data.body) })
      }
      case 'lost': return exchange.lost(new Error(data), data)
      case 'signed': return exchange.signed(Buffer.from(data, 'hex'))
      default: return exchange[name]()
    }
  }

  #toOutput(step) {
    this.#show(step, this.#exchange)
    switch (step.kind) {
      case 'send': {
        const { method, url, headers, body } = step
        return { send: { method, url, headers, body: Buffer.from(body).toString() } }
      }
      case 'sleep': return { sleep: step.ms / 1000 }
      case 'sign': return 'sign'
      default: return { done: this.#done(step.value) }
    }
  }

  #done(value) {
    if (value === undefined) return 'nothing'
    if (value instanceof Server) return { server: serverMembers(value) }
    if (value.flow instanceof PendingAuthorization) {
      this.#show(value.flow)
      return { authorized: { url: value.url.href, expires_in: value.expiresIn ?? null } }
    }
    if (!(value instanceof Tokens)) return { record: members(value) }
    this.#tokens = value
    this.#show(value)
    return {
      tokens: {
        stored: value.serialize(),
        access_token: value.accessToken,
        token_type: value.tokenType,
        expires_in: value.expiresIn ?? null,
        expires_at: seconds(value.expiresAt),
        refresh_token_use_by: seconds(value.refreshTokenExpiresAt),
        authorization_until: seconds(value.authorizationExpiresAt),
        received_at: seconds(value.receivedAt),
        scope: value.scope,
        refresh_token: value.refreshToken ?? null,
        id_token: value.idToken ?? null,
        extra: value.extra,
        warnings: value.warnings,
        issuer: value.issuer,
        client_id: value.clientId,
      },
    }
  }

  #held(stored) {
    const tokens = stored === null ? this.#tokens : Tokens.deserialize(stored)
    this.#show(tokens)
    return tokens
  }
}

/** A name as this language says it, and as the vectors do. */
const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase())
const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** Options, by the names that this language has for them. */
const toCamelCaseNames = (options) =>
  Object.fromEntries(Object.entries(options).map(([name, value]) => [camel(name), value]))

/** The members of a record that are set, including those that are not enumerable. */
function members(record) {
  const toJsonValue = (value) => (value instanceof Date ? seconds(value) : value)
  const isEmpty = (value) => value === undefined || (typeof value === 'object' && Object.keys(value).length === 0)
  const fields = Object.getOwnPropertyNames(record).map((name) => [snake(name), toJsonValue(record[name])])
  return Object.fromEntries(fields.filter(([, value]) => !isEmpty(value)))
}

const serverMembers = ({ issuer, metadata, apiOrigins }) => ({ issuer, metadata, api_origins: apiOrigins })

const errorMembers = (error) => ({
  kind: error.kind,
  message: error.message,
  code: error.code,
  advice: error.advice,
  retry_after: error.retryAfter ?? null,
  endpoint: error.endpoint ?? null,
  status: error.status ?? null,
  error: error.error ?? null,
  error_description: error.errorDescription ?? null,
  extra: error.extra,
  response_status: error.responseStatus ?? null,
  challenge: error.challenge ?? null,
})

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const conversation = JSON.parse(line)
  const party = new Party(conversation)
  const transcript = []
  for (const turn of conversation.talk) transcript.push(await party.turn(turn))
  process.stdout.write(`${JSON.stringify(transcript)}\n`)
}
