// What a user sees in a browser, with any framework.
import assert from 'node:assert/strict'

const text = (page) => page.locator('body').innerText()

/** A user with their own browser. */
class Person {
  /** What the browser asked for on the way to a page. */
  passed = []
  #replies = new Map()

  constructor(context, shop) {
    this.context = context
    this.shop = shop
    context.on('request', (request) => {
      if (request.isNavigationRequest()) this.passed.push(request.url())
    })
    context.on('response', (reply) => {
      const request = reply.request()
      if (request.isNavigationRequest() && !request.frame().parentFrame()) this.#replies.set(request.frame().page(), reply)
    })
  }

  /** Opens a page: what it shows in the end, where that is, and whether the way led to the provider. */
  open(path, page = this.page) {
    return this.goes(() => page.goto(this.shop.base + path, { waitUntil: 'commit' }), page)
  }

  /** The page that the application finally shows. */
  async goes(act, page = this.page) {
    this.passed = []
    await act()
    await page.waitForLoadState()
    await this.shop.provider.passes?.(page)
    const reply = await this.arrives(page)
    const visitedProvider = this.passed.some((url) => url.startsWith(this.shop.provider.issuer))
    return { url: page.url(), status: reply.status(), text: await text(page), asked: visitedProvider, headers: await reply.allHeaders() }
  }

  /** Waits for the page of the application: one of its own may lead there (`SameSite=Strict`), and so may one of the provider. */
  async arrives(page = this.page) {
    const isThere = (origin) => location.origin === origin && document.readyState === 'complete' && document.title !== 'One moment'
    await page.waitForFunction(isThere, new URL(this.shop.base).origin)
    return this.#replies.get(page)
  }

  /** The result that a script of a page gets. */
  script(path, page = this.page) {
    return page.evaluate(async (path) => {
      const reply = await fetch(path)
      return { status: reply.status, text: await reply.text(), isRedirected: reply.redirected }
    }, path)
  }

  async isSignedIn(page = this.page) {
    const { status, text } = await this.script('/auth/session', page)
    assert.equal(status, 200)
    return JSON.parse(text).signed_in
  }

  async signIn() {
    const { status, text } = await this.open('/me')
    assert.equal(status, 200, text)
    assert.ok(text.includes(this.shop.provider.subject), text)
  }

  /** On the site's own page, which asks again. */
  async signOut() {
    await this.page.goto(`${this.shop.base}/auth/logout`)
    await this.page.locator('form button, form input[type=submit]').first().click()
    await this.shop.provider.agreesToSignOut(this.page)
    await this.page.waitForURL((url) => url.href.startsWith(this.shop.base) && !url.pathname.startsWith('/auth/'), { waitUntil: 'commit' })
    await this.arrives()
  }
}

/** A new user. */
export async function person(browser, shop) {
  return personIn(await browser.newContext(shop.browsing), shop)
}

export async function personIn(context, shop) {
  const somebody = new Person(context, shop)
  somebody.page = await context.newPage()
  return somebody
}

/** The cookie of a site whose pages may call an API is not sent with links of other sites. */
async function sameSite(shop) {
  const { status } = await fetch(`${shop.base}/auth/api/twin/echo`, { headers: { 'x-csrf-protection': '1' } })
  assert.ok([401, 404].includes(status), String(status))
  return status === 401 ? 'Strict' : 'Lax'
}

async function signedOut({ ann, shop }) {
  const home = await ann.open('/')
  assert.deepEqual([home.status, home.url, home.asked], [200, `${shop.base}/`, false])
  assert.ok(!home.text.includes(shop.provider.subject))
  assert.equal(await ann.isSignedIn(), false)
  const response = await ann.script('/me')
  assert.equal(response.status, 401, response.text)
  assert.deepEqual(await ann.context.cookies(), [])
}

async function signIn({ ann, shop }) {
  const page = await ann.open('/me?a=%2Fb')
  assert.deepEqual([page.status, page.url, page.asked], [200, `${shop.base}/me?a=%2Fb`, true], page.text)
  assert.ok(page.text.includes(shop.provider.subject), page.text)
  assert.ok(!String(page.headers['set-cookie']).includes('oauth'), 'no page of the application carries a cookie of the site')
  assert.equal(await ann.isSignedIn(), true)
  const [session, ...others] = (await ann.context.cookies()).filter(({ name }) => /oauth-session(\.1|-flow.*)?$/.test(name))
  assert.deepEqual([session.httpOnly, session.sameSite, others.map(({ name }) => name)], [true, await sameSite(shop), []])
  const seen = await ann.page.evaluate(() => document.cookie + JSON.stringify({ ...localStorage, ...sessionStorage }) + document.documentElement.outerHTML)
  assert.doesNotMatch(seen, /oauth-session|access_token|refresh_token|eyJ/)
}

async function guardedPage({ ann, shop }) {
  await ann.signIn()
  const page = await ann.open('/me')
  assert.deepEqual([page.status, page.url, page.asked], [200, `${shop.base}/me`, false])
  await ann.page.reload()
  assert.ok((await text(ann.page)).includes(shop.provider.subject))
  await ann.open('/')
  await ann.page.goBack()
  assert.equal(ann.page.url(), `${shop.base}/me`)
  assert.ok((await text(ann.page)).includes(shop.provider.subject))
}

const HAS_CALLED = /(^|\D)200(\D|$)/

async function fiftyFetches({ ann, shop }) {
  await ann.signIn()
  const first = await ann.open('/fetch')
  assert.match(first.text, HAS_CALLED)
  const before = await shop.provider.counters()
  await shop.provider.expire()
  const replies = await ann.page.evaluate(() => {
    const one = async () => {
      const reply = await fetch('/fetch')
      return [reply.status, await reply.text()]
    }
    return Promise.all(Array.from({ length: 50 }, one))
  })
  for (const [status, text] of replies) {
    assert.equal(status, 200, text)
    assert.match(text, HAS_CALLED)
  }
  const after = await shop.provider.counters()
  // No other token request was sent.
  assert.deepEqual(after, { ...before, refreshes: before.refreshes + 1, requests: before.requests + 1 })
  assert.equal(await ann.isSignedIn(), true)
}

const EXPIRIES = 30
/** How long tokens live then, in seconds: long enough for a busy machine, which must not see one expire by itself. */
const LIFETIME = 60

/** Tokens expire again and again, by the clocks of the provider and of the application: one renewal each, with rotation. */
async function manyExpiries({ somebody, shop }) {
  const ann = await somebody()
  await shop.provider.tokensLive(LIFETIME)
  await ann.signIn()
  for (let expiry = 0; expiry < EXPIRIES; expiry += 1) {
    const before = await shop.provider.counters()
    await shop.advance(LIFETIME)
    const replies = await ann.page.evaluate(() => Promise.all(Array.from({ length: 6 }, async () => (await fetch('/fetch')).text())))
    for (const text of replies) assert.match(text, HAS_CALLED)
    assert.deepEqual(await shop.provider.counters(), { ...before, refreshes: before.refreshes + 1, requests: before.requests + 1 }, `expiry ${expiry}`)
  }
  assert.equal(await ann.isSignedIn(), true)
  await ann.context.close()
}

/** How many times as long as any other it may take. */
manyExpiries.times = 5

/** Holds a tab's request to the provider until `open` is called. */
async function holdRequest(context, page, issuer) {
  const session = await context.newCDPSession(page)
  const came = new Promise((done) => session.once('Fetch.requestPaused', done))
  await session.send('Fetch.enable', { patterns: [{ urlPattern: `${issuer}/*`, resourceType: 'Document' }] })
  return {
    came,
    async open() {
      const { requestId } = await came
      await session.send('Fetch.continueRequest', { requestId })
      await session.send('Fetch.disable')
    },
  }
}

async function twoTabs({ somebody, shop }) {
  const bob = await somebody()
  const tabs = [bob.page, await bob.context.newPage()]
  const doors = await Promise.all(tabs.map((tab) => holdRequest(bob.context, tab, shop.provider.issuer)))
  const opened = tabs.map((tab, at) => tab.goto(`${shop.base}/me?tab=${at}`, { waitUntil: 'commit' }))
  await Promise.race([Promise.all(doors.map(({ came }) => came)), Promise.all(opened)])
  // The later one comes back first.
  for (const at of [1, 0]) {
    await doors[at].open()
    await opened[at]
    const reply = await bob.arrives(tabs[at])
    assert.deepEqual([reply.status(), tabs[at].url()], [200, `${shop.base}/me?tab=${at}`])
    assert.ok((await text(tabs[at])).includes(shop.provider.subject))
  }
  await bob.context.close()
}

async function stepUp({ ann, shop }) {
  await ann.signIn()
  const short = await ann.open('/pay')
  assert.equal(short.asked, true)
  assert.match(short.text, /web\.step_up_failed/)
  await shop.provider.claim('acr', 'mfa')
  try {
    const page = await ann.open('/pay')
    assert.deepEqual([page.status, page.url, page.asked], [200, `${shop.base}/pay`, true], page.text)
    assert.match(page.text, /by mfa/)
    assert.equal((await ann.open('/pay')).asked, false)
  } finally {
    await shop.provider.claim('acr', null)
  }
}

async function grantEnded({ somebody, shop }) {
  // Signing in again and again would look like a loop if it were one user.
  const ann = await somebody()
  await ann.signIn()
  assert.match((await ann.open('/fetch')).text, HAS_CALLED)
  await shop.provider.revoke()
  const page = await ann.open('/fetch')
  assert.deepEqual([page.status, page.url, page.asked], [200, `${shop.base}/fetch`, true], page.text)
  assert.match(page.text, HAS_CALLED)
  await shop.provider.revoke()
  const response = await ann.script('/fetch')
  assert.equal(response.status, 401, response.text)
  assert.equal(await ann.isSignedIn(), false)
  await ann.context.close()
}

async function signOutEverywhere({ ann, somebody, shop }) {
  await ann.signIn()
  const other = await ann.context.newPage()
  await ann.open('/me', other)
  const thief = await somebody()
  await thief.context.addCookies(await ann.context.cookies(shop.base))
  await thief.open('/')
  assert.equal(await thief.isSignedIn(), true, 'a copy is as good as the cookie, until then')
  const before = await shop.provider.counters()
  await ann.signOut()
  const after = await shop.provider.counters()
  assert.ok(after.revocations > before.revocations)
  for (const [somebody, page] of [[ann, ann.page], [ann, other], [thief, thief.page]]) assert.equal(await somebody.isSignedIn(page), false)
  // The provider is asked, silently, whether somebody is signed in there.
  const looked = await ann.open('/auth/check?return_to=/')
  assert.deepEqual([looked.url, looked.asked], [`${shop.base}/`, true])
  assert.equal(await ann.isSignedIn(), false)
  await thief.context.close()
  await other.close()
}

/** The user signs out at the provider, which notifies the application. */
async function signedOutThere({ ann, shop }) {
  await ann.signIn()
  const other = await ann.context.newPage()
  await ann.open('/', other)
  await ann.page.goto(shop.provider.endSession)
  await shop.provider.agreesToSignOut(ann.page)
  await ann.page.waitForURL((url) => url.pathname.startsWith('/session/end/success'))
  assert.equal(await ann.isSignedIn(other), false)
  await other.close()
}

/** The person signs out at the provider, whose page has a frame of the application (front channel), or which tells it by itself. */
async function signedOutAtKeycloak({ ann, shop }) {
  await ann.signIn()
  const other = await ann.context.newPage()
  await ann.open('/', other)
  assert.equal(await ann.isSignedIn(other), true)
  await ann.page.goto(shop.provider.endSession)
  await shop.provider.signsOutThere(ann.page)
  assert.equal(await ann.isSignedIn(other), false)
  await other.close()
}

/** The second level is requested once. */
async function secondLevel({ somebody, shop }) {
  const ann = await somebody()
  await ann.signIn()
  const page = await ann.open('/pay')
  assert.deepEqual([page.status, page.url, page.asked], [200, `${shop.base}/pay`, true], page.text)
  assert.match(page.text, /by mfa/)
  assert.equal((await ann.open('/pay')).asked, false)
  await ann.context.close()
}

/** Keycloak delegates the sign-in to another provider. */
async function brokered({ somebody, shop }) {
  const bob = await somebody()
  await bob.page.goto(`${shop.base}/me`)
  await shop.provider.passesElsewhere(bob.page)
  const reply = await bob.arrives()
  assert.deepEqual([reply.status(), bob.page.url()], [200, `${shop.base}/me`])
  assert.ok(!(await text(bob.page)).includes(shop.provider.subject))
  assert.equal(await bob.isSignedIn(), true)
  await bob.context.close()
}

export const atKeycloak = {
  'signed out': signedOut,
  'sign in': signIn,
  'guarded page': guardedPage,
  'step-up': secondLevel,
  'brokered login': brokered,
  'sign out': signOutEverywhere,
  'signed out there': signedOutAtKeycloak,
}

/** Logouts through a frame of the provider's page. */
export const inFrames = { 'signed out there': signedOutAtKeycloak }

export const atTwin = {
  'signed out': signedOut,
  'sign in': signIn,
  'guarded page': guardedPage,
  '50 fetches': fiftyFetches,
  'two tabs': twoTabs,
  'step-up': stepUp,
  'grant ended': grantEnded,
  'sign out': signOutEverywhere,
  '30 expiries': manyExpiries,
}

export const atOidcProvider = {
  'signed out': signedOut,
  'sign in': signIn,
  'guarded page': guardedPage,
  '50 fetches': fiftyFetches,
  'two tabs': twoTabs,
  'step-up': secondLevel,
  'sign out': signOutEverywhere,
  'signed out there': signedOutThere,
}
