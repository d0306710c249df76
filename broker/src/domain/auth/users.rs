//! The users and permissions in force.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::outcome::{AccountId, AuthError, Change, Identity, Login, LoginRefused};
use super::pattern::{Pattern, PatternError};
use super::{Access, Credentials, HashingAlgorithm, PasswordHash, Permission, User};
use crate::domain::limits::UserLimits;

/// The hash that an unknown user's password is compared with, so that the answer takes as long.
static NOBODY: LazyLock<PasswordHash> = LazyLock::new(|| PasswordHash::of("nobody"));

/// A permission with its patterns ready.
struct Granted {
    record: Permission,
    configure: Pattern,
    write: Pattern,
    read: Pattern,
}

impl Granted {
    fn compile(record: Permission) -> Result<Self, PatternError> {
        Ok(Granted {
            configure: Pattern::compile(&record.configure)?,
            write: Pattern::compile(&record.write)?,
            read: Pattern::compile(&record.read)?,
            record,
        })
    }
}

struct Account {
    id: AccountId,
    record: User,
    /// By virtual host.
    permissions: BTreeMap<String, Granted>,
}

/// All users and what they may do. Shared by every connection: reading takes a shared lock for
/// the length of one look-up.
pub struct Users {
    /// By name.
    accounts: RwLock<BTreeMap<String, Account>>,
    loopback_users: RwLock<Vec<String>>,
    generation: AtomicU64,
    next_account: AtomicU64,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users")
            .field("count", &self.accounts.read().len())
            .finish_non_exhaustive()
    }
}

impl Users {
    /// Nobody yet. `loopback_users` may log in from a loopback address only.
    pub fn new(loopback_users: Vec<String>) -> Self {
        // Not at the first bad login, whose answer would then take a little longer.
        LazyLock::force(&NOBODY);
        let accounts = RwLock::default();
        Users {
            accounts,
            loopback_users: RwLock::new(loopback_users),
            generation: AtomicU64::new(0),
            next_account: AtomicU64::new(0),
        }
    }

    /// Sets who may log in from a loopback address only. Nobody who is there already has to go.
    pub fn set_loopback_users(&self, names: Vec<String>) {
        *self.loopback_users.write() = names;
    }

    fn next_account(&self) -> AccountId {
        AccountId(self.next_account.fetch_add(1, Ordering::Relaxed))
    }

    /// Grows with every change: a decision cached under one value holds until there is another.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Called with the lock held, so that nobody reads the new state under the old number.
    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Takes in records read back from the store.
    ///
    /// # Errors
    /// A permission of an unknown user, or one whose pattern does not compile.
    pub fn restore(
        &self,
        users: impl IntoIterator<Item = User>,
        permissions: impl IntoIterator<Item = Permission>,
    ) -> Result<(), AuthError> {
        let mut accounts = self.accounts.write();
        for record in users {
            let account = Account {
                id: self.next_account(),
                permissions: BTreeMap::new(),
                record,
            };
            accounts.insert(account.record.name.clone(), account);
        }
        for permission in permissions {
            let account = find(&mut accounts, &permission.user)?;
            let vhost = permission.vhost.clone();
            account
                .permissions
                .insert(vhost, Granted::compile(permission)?);
        }
        self.changed();
        Ok(())
    }

    /// Checks a login from this address.
    ///
    /// # Errors
    /// The reason, for the log; the client must not learn it.
    pub fn login(&self, given: Credentials<'_>, peer: IpAddr) -> Result<Login, LoginRefused> {
        let login = self.authenticate(given)?;
        let local = peer.to_canonical().is_loopback();
        if !local
            && self
                .loopback_users
                .read()
                .iter()
                .any(|name| name == given.user)
        {
            return Err(LoginRefused::LoopbackOnly(given.user.to_owned()));
        }
        Ok(login)
    }

    /// Checks a password, wherever it comes from (`authenticate_user`).
    ///
    /// # Errors
    /// [`LoginRefused::InvalidCredentials`].
    pub fn authenticate(&self, given: Credentials<'_>) -> Result<Login, LoginRefused> {
        // Hashing is done outside the lock: a flood of logins must not hold up an administrator.
        let found = self
            .accounts
            .read()
            .get(given.user)
            .map(|account| (account.id, account.record.password_hash.clone()));
        let hash = found.as_ref().map_or(&*NOBODY, |(_, hash)| hash);
        let verified = hash.verifies(given.password);
        let refused = || LoginRefused::InvalidCredentials(given.user.to_owned());
        let Some((id, hash)) = found.filter(|_| verified) else {
            return Err(refused());
        };
        // Meanwhile the user may have gone, or have got another password.
        let accounts = self.accounts.read();
        let account = accounts.get(given.user);
        let account = account.filter(|now| now.id == id && now.record.password_hash == hash);
        let tags = account.ok_or_else(refused)?.record.tags.clone();
        let identity = Identity {
            name: given.user.into(),
            account: id,
        };
        Ok(Login { identity, tags })
    }

    /// Whether the user may enter the virtual host: any permission there will do (RabbitMQ:
    /// Access Control, "How Authorisation Works").
    pub fn may_enter(&self, user: &Identity, vhost: &str) -> bool {
        let accounts = self.accounts.read();
        account_of(&accounts, user).is_some_and(|account| account.permissions.contains_key(vhost))
    }

    /// Whether the user may do this to the queue or exchange of this name. The default exchange,
    /// whose name is empty, is checked as `amq.default`.
    pub fn permits(&self, user: &Identity, vhost: &str, access: Access, resource: &str) -> bool {
        let accounts = self.accounts.read();
        let Some(granted) =
            account_of(&accounts, user).and_then(|account| account.permissions.get(vhost))
        else {
            return false;
        };
        let name = if resource.is_empty() {
            "amq.default"
        } else {
            resource
        };
        match access {
            Access::Configure => granted.configure.matches(name),
            Access::Write => granted.write.matches(name),
            Access::Read => granted.read.matches(name),
        }
    }

    /// Adds a user who may not enter any virtual host yet.
    ///
    /// # Errors
    /// When there is one of that name.
    pub fn add_user(
        &self,
        name: &str,
        password_hash: PasswordHash,
        tags: &[String],
    ) -> Result<Change, AuthError> {
        if name.is_empty() {
            return Err(AuthError::EmptyName);
        }
        let mut accounts = self.accounts.write();
        let Entry::Vacant(place) = accounts.entry(name.to_owned()) else {
            return Err(AuthError::UserExists(name.to_owned()));
        };
        let record = User {
            name: name.to_owned(),
            password_hash,
            hashing_algorithm: HashingAlgorithm::default(),
            tags: tags.to_vec(),
            limits: UserLimits::default(),
        };
        place.insert(Account {
            id: self.next_account(),
            record: record.clone(),
            permissions: BTreeMap::new(),
        });
        self.changed();
        Ok(Change::PutUser(record))
    }

    /// Removes a user and all its permissions, and returns which account that was. Whoever is
    /// logged in to it is the caller's to send away; it is permitted nothing any more.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn delete_user(&self, name: &str) -> Result<(AccountId, Vec<Change>), AuthError> {
        let mut accounts = self.accounts.write();
        let account = accounts
            .remove(name)
            .ok_or_else(|| AuthError::NoSuchUser(name.to_owned()))?;
        self.changed();
        let removed = account.permissions.into_keys();
        // Permissions first: a store cut off between the two never holds one of nobody.
        let changes = removed
            .map(|vhost| Change::RemovePermission {
                user: name.to_owned(),
                vhost,
            })
            .chain([Change::RemoveUser(name.to_owned())])
            .collect();
        Ok((account.id, changes))
    }

    /// Sets another password.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn change_password(&self, name: &str, hash: PasswordHash) -> Result<Change, AuthError> {
        self.change_user(name, |user| {
            user.password_hash = hash;
            user.hashing_algorithm = HashingAlgorithm::default();
        })
    }

    /// Sets the tags, in place of those before.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn set_tags(&self, name: &str, tags: &[String]) -> Result<Change, AuthError> {
        self.change_user(name, |user| user.tags = tags.to_vec())
    }

    /// Changes the limits. They count from now on; nobody who is there already has to go.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn change_limits(
        &self,
        name: &str,
        change: impl FnOnce(UserLimits) -> UserLimits,
    ) -> Result<Change, AuthError> {
        self.change_user(name, |user| user.limits = change(user.limits))
    }

    /// The limits of a user; of one that does not exist, none.
    pub fn limits(&self, name: &str) -> UserLimits {
        let accounts = self.accounts.read();
        accounts
            .get(name)
            .map(|account| account.record.limits)
            .unwrap_or_default()
    }

    fn change_user(&self, name: &str, change: impl FnOnce(&mut User)) -> Result<Change, AuthError> {
        let mut accounts = self.accounts.write();
        let account = find(&mut accounts, name)?;
        change(&mut account.record);
        let record = account.record.clone();
        self.changed();
        Ok(Change::PutUser(record))
    }

    /// Grants a permission, in place of the one before. Whether the virtual host exists is the
    /// caller's to check.
    ///
    /// # Errors
    /// When there is no such user, or a pattern does not compile.
    pub fn set_permissions(&self, permission: Permission) -> Result<Change, AuthError> {
        let granted = Granted::compile(permission)?;
        let mut accounts = self.accounts.write();
        let account = find(&mut accounts, &granted.record.user)?;
        let record = granted.record.clone();
        account.permissions.insert(record.vhost.clone(), granted);
        self.changed();
        Ok(Change::PutPermission(record))
    }

    /// Takes a permission away; None when there was none.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn clear_permissions(&self, user: &str, vhost: &str) -> Result<Option<Change>, AuthError> {
        let mut accounts = self.accounts.write();
        if find(&mut accounts, user)?
            .permissions
            .remove(vhost)
            .is_none()
        {
            return Ok(None);
        }
        self.changed();
        Ok(Some(Change::RemovePermission {
            user: user.to_owned(),
            vhost: vhost.to_owned(),
        }))
    }

    /// Takes away everybody's permissions in a virtual host that is being deleted.
    pub fn forget_vhost(&self, vhost: &str) -> Vec<Change> {
        let mut accounts = self.accounts.write();
        let mut changes = Vec::new();
        for (user, account) in accounts.iter_mut() {
            if account.permissions.remove(vhost).is_some() {
                let (user, vhost) = (user.clone(), vhost.to_owned());
                changes.push(Change::RemovePermission { user, vhost });
            }
        }
        if !changes.is_empty() {
            self.changed();
        }
        changes
    }

    /// The user of this name.
    pub fn user(&self, name: &str) -> Option<User> {
        self.accounts
            .read()
            .get(name)
            .map(|account| account.record.clone())
    }

    /// Every user, by name.
    pub fn users(&self) -> Vec<User> {
        self.accounts
            .read()
            .values()
            .map(|account| account.record.clone())
            .collect()
    }

    /// Everybody's permission in a virtual host, by user.
    pub fn permissions_in(&self, vhost: &str) -> Vec<Permission> {
        let accounts = self.accounts.read();
        let granted = accounts
            .values()
            .filter_map(|account| account.permissions.get(vhost));
        granted.map(|granted| granted.record.clone()).collect()
    }

    /// A user's permissions, by virtual host.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn permissions_of(&self, user: &str) -> Result<Vec<Permission>, AuthError> {
        let accounts = self.accounts.read();
        let account = accounts
            .get(user)
            .ok_or_else(|| AuthError::NoSuchUser(user.to_owned()))?;
        Ok(account
            .permissions
            .values()
            .map(|granted| granted.record.clone())
            .collect())
    }
}

/// The account that somebody is logged in to, unless it is gone.
fn account_of<'a>(accounts: &'a BTreeMap<String, Account>, user: &Identity) -> Option<&'a Account> {
    let account = accounts.get(user.name.as_str())?;
    (account.id == user.account).then_some(account)
}

fn find<'a>(
    accounts: &'a mut BTreeMap<String, Account>,
    name: &str,
) -> Result<&'a mut Account, AuthError> {
    accounts
        .get_mut(name)
        .ok_or_else(|| AuthError::NoSuchUser(name.to_owned()))
}
