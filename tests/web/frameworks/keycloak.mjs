// Keycloak, as its distribution starts it: a realm with a person, two levels of authentication, and another provider behind it.
import path from 'node:path'
import { freePort } from '../../ports.mjs'
import { json, program, twin } from './world.mjs'

const PATIENCE = 300_000
const REALM = 'shop'
const PERSON = { id: '7d2c9c0e-52a4-4f1c-8d5c-3a0f5c1f6a01', username: 'ann', password: 'correct horse' }

const admin = { name: 'admin', password: 'only here' }

const execution = (authenticator, requirement, priority, more) => ({ authenticator, requirement, priority, autheticatorFlow: false, ...more })
const subflow = (flowAlias, requirement, priority) => ({ flowAlias, requirement, priority, autheticatorFlow: true })
const flow = (alias, authenticationExecutions, topLevel = false) => ({
  alias, providerId: 'basic-flow', topLevel, builtIn: false, authenticationExecutions,
})
const level = (n) => ({ alias: `level ${n}`, config: { 'loa-condition-level': String(n), 'loa-max-age': '36000' } })

/** Keycloak's step-up without a telephone: a password is the first level, and the same password again the second. */
const flows = [
  flow('by level', [execution('auth-cookie', 'ALTERNATIVE', 0), subflow('levels', 'ALTERNATIVE', 10)], true),
  flow('levels', [subflow('first', 'CONDITIONAL', 0), subflow('second', 'CONDITIONAL', 10)]),
  flow('first', [
    execution('conditional-level-of-authentication', 'REQUIRED', 0, { authenticatorConfig: 'level 1' }),
    execution('auth-username-password-form', 'REQUIRED', 10),
  ]),
  flow('second', [
    execution('conditional-level-of-authentication', 'REQUIRED', 0, { authenticatorConfig: 'level 2' }),
    execution('auth-password-form', 'REQUIRED', 10),
  ]),
]

const realm = (provider) => ({
  realm: REALM,
  enabled: true,
  eventsEnabled: true,
  eventsListeners: [],
  revokeRefreshToken: true,
  refreshTokenMaxReuse: 0,
  attributes: { 'acr.loa.map': JSON.stringify({ pwd: 1, mfa: 2 }) },
  authenticationFlows: flows,
  authenticatorConfig: [level(1), level(2)],
  browserFlow: 'by level',
  users: [{
    id: PERSON.id, username: PERSON.username, enabled: true, realmRoles: ['offline_access'], email: 'ann@shop.example', emailVerified: true, firstName: 'Ann', lastName: 'Example',
    credentials: [{ type: 'password', value: PERSON.password, temporary: false }],
  }],
  identityProviders: [provider],
})

/** The twin as an identity provider of Keycloak. */
const brokered = ({ issuer }, { id, secret }) => ({
  alias: 'twin',
  providerId: 'oidc',
  enabled: true,
  trustEmail: true,
  config: {
    issuer, clientId: id, clientSecret: secret, clientAuthMethod: 'client_secret_basic', defaultScope: 'openid', validateSignature: 'true', useJwksUrl: 'true',
    authorizationUrl: `${issuer}/authorize`, tokenUrl: `${issuer}/token`, jwksUrl: `${issuer}/jwks`, pkceEnabled: 'true', pkceMethod: 'S256',
  },
})

async function waitUntilReachable(url, child) {
  for (const until = Date.now() + PATIENCE; ;) {
    if (await fetch(url).then((reply) => reply.ok, () => false)) return
    if (child.exitCode !== null || Date.now() > until) throw new Error('Keycloak does not answer')
    await new Promise((wake) => setTimeout(wake, 500))
  }
}

async function started(home) {
  const [port, management] = [await freePort(), await freePort()]
  const child = program(['sh', path.join(home, 'bin/kc.sh'), 'start-dev', `--http-port=${port}`, '--http-host=127.0.0.1', `--http-management-port=${management}`,
    '--db=dev-mem', '--log-level=warn'], {
    env: { ...process.env, KC_BOOTSTRAP_ADMIN_USERNAME: admin.name, KC_BOOTSTRAP_ADMIN_PASSWORD: admin.password },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const base = `http://127.0.0.1:${port}`
  await waitUntilReachable(`${base}/realms/master/.well-known/openid-configuration`, child)
  return base
}

/**
 * Keycloak, for all applications: each is a client of its own there, which is told by the front or the back channel that people
 * have signed out. `home` is where its distribution was unpacked.
 */
export async function keycloak(home) {
  const base = await started(home)
  const issuer = `${base}/realms/${REALM}`
  const token = async () => {
    const body = new URLSearchParams({ grant_type: 'password', client_id: 'admin-cli', username: admin.name, password: admin.password })
    const reply = await fetch(`${base}/realms/master/protocol/openid-connect/token`, { method: 'POST', body })
    return (await reply.json()).access_token
  }
  const steer = async (route, body) => json(`${base}/admin/realms${route}`, body, { authorization: `Bearer ${await token()}` })

  const other = await twin()
  for (const [name, value] of Object.entries({ email: 'bob@twin.example', email_verified: true, given_name: 'Bob', family_name: 'Example', preferred_username: 'bob' })) {
    await other.claim(name, value)
  }
  const client = await other.client(`${issuer}/broker/twin/endpoint`)
  await steer('', realm(brokered(other, client)))
  await steer(`/${REALM}/client-scopes`, { name: 'read', protocol: 'openid-connect' })

  return (logout) => {
    let id
    return {
      issuer,
      api: `${issuer}/protocol/openid-connect/userinfo`,
      subject: PERSON.id,
      async register(app) {
        id = new URL(app).port
        const secret = `secret of ${id}`
        await steer(`/${REALM}/clients`, {
          clientId: id, secret, redirectUris: [`${app}/auth/callback`], standardFlowEnabled: true, frontchannelLogout: logout === 'front channel',
          defaultClientScopes: ['acr', 'basic', 'email', 'profile'], optionalClientScopes: ['offline_access', 'read'],
          attributes: {
            'post.logout.redirect.uris': `${app}/auth/logout/done`,
            'pkce.code.challenge.method': 'S256',
            ...(logout === 'front channel'
              ? { 'frontchannel.logout.url': `${app}/auth/frontchannel-logout`, 'frontchannel.logout.session.required': 'true' }
              : { 'backchannel.logout.url': `${app}/auth/backchannel-logout`, 'backchannel.logout.session.required': 'true' }),
          },
        })
        return { id, secret }
      },
      async counters() {
        const events = await steer(`/${REALM}/events?client=${id}&max=1000`)
        const count = (type) => events.filter((event) => event.type === type).length
        return { refreshes: count('REFRESH_TOKEN'), revocations: count('REVOKE_GRANT') }
      },
      /** Enters the name and password when asked. */
      async passes(page) {
        let last
        const note = (reply) => {
          if (reply.request().isNavigationRequest()) last = reply
        }
        page.on('response', note)
        while (page.url().startsWith(issuer)) {
          const name = page.locator('#username')
          if ((await name.count()) > 0 && (await name.isVisible()) && (await name.isEditable())) await name.fill(PERSON.username)
          await page.locator('#password').fill(PERSON.password)
          await Promise.all([page.waitForNavigation(), page.locator('#kc-login').click()])
        }
        page.off('response', note)
        return last
      },
      /** Signs in with the other provider. */
      passesElsewhere: (page) => findHome(page, () => page.locator('#social-twin').click()),
      agreesToSignOut: async () => {},
      endSession: `${issuer}/protocol/openid-connect/logout`,
      async signsOutThere(page) {
        await Promise.all([page.waitForNavigation(), page.locator('#kc-logout').click()])
        await page.waitForLoadState('networkidle')
      },
    }

    /** The text that the application shows after this action and all redirects. */
    async function findHome(page, act) {
      const isHome = (reply) => reply.request().isNavigationRequest() && !reply.url().startsWith(issuer) && !(reply.status() >= 300 && reply.status() < 400)
        && !reply.url().startsWith(other.issuer)
      const [reply] = await Promise.all([page.waitForResponse(isHome), act()])
      await page.waitForLoadState()
      return reply
    }
  }
}
