// The in-memory authorization server behind the routes of the SDK.
import { randomBytes } from 'node:crypto'
import { InvalidGrantError, InvalidScopeError, InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js'

export const TOOLS = 'mcp:tools'
export const SECRET = 'mcp:secret'
export const SCOPES = [TOOLS, SECRET]
const CODE_SECONDS = 60

const random = () => randomBytes(32).toString('base64url')
const now = () => Math.floor(Date.now() / 1000)

/**
 * An `OAuthServerProvider`. Codes and refresh tokens work once; a refresh token that comes a second time ends its grant
 * (RFC 9700, section 4.14.2).
 */
export class Authority {
  accessTokenSeconds = 3600
  wantedBySecretTool = SECRET
  counts = {
    registrations: 0,
    authorizations: 0,
    code_redemptions: 0,
    refreshes: 0,
    refresh_token_reuses: 0,
    revocations: 0,
    tool_calls: 0,
  }

  constructor(issuer) {
    this.issuer = issuer
    this.forgetClients()
  }

  /** As if the server had lost its database. */
  forgetClients() {
    this.clients = new Map()
    this.codes = new Map()
    this.refreshTokens = new Map()
    this.accessTokens = new Map()
  }

  /** Every access token ends now. */
  expireTokens() {
    this.accessTokens.clear()
  }

  get clientsStore() {
    return {
      getClient: (id) => this.clients.get(id),
      registerClient: (client) => {
        this.counts.registrations += 1
        // The SDK leaves the scope of a registration to us.
        const registered = { scope: SCOPES.join(' '), ...client }
        if (!isWithin(registered.scope.split(' '), SCOPES)) throw new InvalidScopeError('no such scope')
        this.clients.set(client.client_id, registered)
        return registered
      },
    }
  }

  /** No user to ask: redirects immediately. */
  async authorize(client, params, response) {
    const scopes = params.scopes.length ? params.scopes : [TOOLS]
    if (!isWithin(scopes, client.scope.split(' '))) throw new InvalidScopeError('a scope that is not registered')
    this.counts.authorizations += 1
    // A grant is what a user approved; revoking it ends all its tokens.
    const grant = { clientId: client.client_id, scopes, resource: params.resource, isOver: false }
    const code = random()
    const { codeChallenge, redirectUri } = params
    this.codes.set(code, { grant, codeChallenge, redirectUri, expiresAt: now() + CODE_SECONDS })
    const home = new URL(params.redirectUri)
    home.searchParams.set('code', code)
    if (params.state !== undefined) home.searchParams.set('state', params.state)
    home.searchParams.set('iss', this.issuer)
    response.redirect(302, home.href)
  }

  async challengeForAuthorizationCode(client, code) {
    return this.#code(client, code).codeChallenge
  }

  async exchangeAuthorizationCode(client, code, _verifier, redirectUri, resource) {
    const { grant, redirectUri: expectedRedirectUri } = this.#code(client, code)
    if (redirectUri !== expectedRedirectUri) throw new InvalidGrantError('another redirect URI')
    checkResource(grant, resource)
    this.codes.delete(code)
    this.counts.code_redemptions += 1
    return this.#issue(grant, grant.scopes)
  }

  async exchangeRefreshToken(client, token, scopes, resource) {
    const storedToken = this.refreshTokens.get(token)
    if (!storedToken || storedToken.grant.clientId !== client.client_id || storedToken.grant.isOver) {
      throw new InvalidGrantError('no such refresh token')
    }
    const { grant } = storedToken
    if (storedToken.isSpent) {
      this.counts.refresh_token_reuses += 1
      grant.isOver = true
      throw new InvalidGrantError('this refresh token was used before')
    }
    checkResource(grant, resource)
    if (scopes && !isWithin(scopes, grant.scopes)) throw new InvalidScopeError('more than was granted')
    storedToken.isSpent = true
    this.counts.refreshes += 1
    return this.#issue(grant, scopes ?? grant.scopes)
  }

  async verifyAccessToken(token) {
    const storedToken = this.accessTokens.get(token)
    if (!storedToken || storedToken.grant.isOver) throw new InvalidTokenError('no such access token')
    const { grant, scopes, expiresAt } = storedToken
    return { token, clientId: grant.clientId, scopes, expiresAt, resource: grant.resource }
  }

  async revokeToken(client, { token }) {
    const storedToken = this.accessTokens.get(token) ?? this.refreshTokens.get(token)
    if (storedToken?.grant.clientId !== client.client_id) return
    this.counts.revocations += 1
    storedToken.grant.isOver = true
  }

  #code(client, code) {
    const storedCode = this.codes.get(code)
    if (storedCode?.grant.clientId !== client.client_id || storedCode.expiresAt < now()) throw new InvalidGrantError('no such code')
    return storedCode
  }

  #issue(grant, scopes) {
    const [access, refresh] = [random(), random()]
    const seconds = this.accessTokenSeconds
    this.accessTokens.set(access, { grant, scopes, expiresAt: now() + seconds })
    this.refreshTokens.set(refresh, { grant, isSpent: false })
    return {
      access_token: access,
      token_type: 'Bearer',
      expires_in: seconds,
      scope: scopes.join(' '),
      refresh_token: refresh,
    }
  }
}

const isWithin = (scopes, allowed) => scopes.every((scope) => allowed.includes(scope))

function checkResource(grant, resource) {
  if (resource && resource.href !== grant.resource?.href) throw new InvalidGrantError('another resource')
}
