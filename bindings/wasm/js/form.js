// What a form that goes to an API brings along.

/** A token in a form, which the rules do not see: as for one in a header, ours would be a second (RFC 6750 section 2). */
export async function credentials(request) {
  const form = new URLSearchParams(await request.clone().text())
  return form.has('access_token') ? [['authorization', 'form']] : []
}
