export const actions = { default: ({ locals }) => ({ bought: locals.user.subject }) }
