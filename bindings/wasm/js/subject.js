// The subject of the user, for pages that have only the tokens.

/** The subject of an ID token that this page, or another tab of it, verified at sign-in. */
export function subjectOf(idToken) {
  if (idToken === undefined) return undefined
  const payload = idToken.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')
  return JSON.parse(atob(payload)).sub
}
