// The same page with oidc-client-ts, whose manager keeps the flow and the tokens.
import { InMemoryWebStorage, UserManager, WebStorageStateStore } from 'oidc-client-ts'

const manager = new UserManager({
  authority: 'https://as.example',
  client_id: 'app',
  redirect_uri: 'https://app.example/callback',
  scope: 'openid offline_access',
  automaticSilentRenew: true,
  userStore: new WebStorageStateStore({ store: new InMemoryWebStorage() }),
})
if (location.search) {
  await manager.signinRedirectCallback()
  history.replaceState(null, '', 'https://app.example/callback')
  const call = async (url) => {
    let user = await manager.getUser()
    if (user.expires_in < 30) user = await manager.signinSilent()
    return fetch(url, { headers: { authorization: `Bearer ${user.access_token}` } })
  }
  const reply = await call('https://api.example/me')
  document.body.textContent = await reply.text()
} else {
  document.querySelector('button').onclick = () => manager.signinRedirect()
}
