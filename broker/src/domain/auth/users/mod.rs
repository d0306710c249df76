//! The users and permissions in force.

mod authenticate;
mod certified;
mod marks;
mod proof;
mod rights;
mod topics;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::outcome::{AccountId, AuthError, Change, Identity, KnownBy};
use super::pattern::{Origin, Pattern};
use super::{Access, PasswordHash, Permission, TopicAccess, User};
use crate::domain::limits::UserLimits;
use crate::text::names::{NAME_MAX, check_length};
use crate::text::pattern::PatternError;
use crate::text::shorten::shortened;
pub use authenticate::PasswordPolicy;
pub use marks::PasswordMark;
use proof::{Proof, ProofKey};

/// A permission with its compiled patterns.
struct CompiledPermission {
    record: Permission,
    configure: Pattern,
    write: Pattern,
    read: Pattern,
}

impl CompiledPermission {
    fn pattern(&self, access: Access) -> &Pattern {
        match access {
            Access::Configure => &self.configure,
            Access::Write => &self.write,
            Access::Read => &self.read,
        }
    }

    /// Returns the pattern as it was set.
    fn written(&self, access: Access) -> &str {
        match access {
            Access::Configure => &self.record.configure,
            Access::Write => &self.record.write,
            Access::Read => &self.record.read,
        }
    }

    fn compile(record: Permission, origin: Origin) -> Result<Self, PatternError> {
        Ok(CompiledPermission {
            configure: Pattern::compile(&record.configure, origin)?,
            write: Pattern::compile(&record.write, origin)?,
            read: Pattern::compile(&record.read, origin)?,
            record,
        })
    }
}

struct Account {
    id: AccountId,
    record: User,
    password_mark: PasswordMark,
    /// By virtual host.
    permissions: BTreeMap<String, CompiledPermission>,
    /// By virtual host and exchange.
    topics: BTreeMap<(String, String), Arc<TopicAccess>>,
    /// That its password was checked a moment ago.
    proof: Mutex<Option<Proof>>,
}

impl Account {
    fn new(id: AccountId, password_mark: PasswordMark, record: User) -> Self {
        Account {
            id,
            record,
            password_mark,
            permissions: BTreeMap::new(),
            topics: BTreeMap::new(),
            proof: Mutex::default(),
        }
    }
}

/// All users and their permissions. Shared by all connections: reading takes a shared lock for the
/// duration of a look-up.
pub struct Users {
    /// By name.
    accounts: RwLock<BTreeMap<String, Account>>,
    loopback_users: RwLock<Vec<String>>,
    password_policy: RwLock<PasswordPolicy>,
    proof_key: ProofKey,
    generation: AtomicU64,
    next_account: AtomicU64,
    next_mark: AtomicU64,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users")
            .field("count", &self.accounts.read().len())
            .finish_non_exhaustive()
    }
}

impl Users {
    /// Returns an empty set of users. `loopback_users` may log in only from a loopback address.
    pub fn new(loopback_users: Vec<String>) -> Self {
        Users {
            accounts: RwLock::default(),
            loopback_users: RwLock::new(loopback_users),
            password_policy: RwLock::default(),
            proof_key: ProofKey::new(),
            generation: AtomicU64::new(0),
            next_account: AtomicU64::new(0),
            next_mark: AtomicU64::new(0),
        }
    }

    /// Sets who may log in only from a loopback address. Existing connections stay open.
    pub fn set_loopback_users(&self, names: Vec<String>) {
        *self.loopback_users.write() = names;
    }

    /// Returns a new account, without permissions.
    fn account(&self, record: User) -> Account {
        let id = AccountId(self.next_account.fetch_add(1, Ordering::Relaxed));
        Account::new(id, self.next_mark(), record)
    }

    /// Returns a number that grows with every change.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Increments the generation. Call it with the lock held, so that nobody reads the new state under the old
    /// number.
    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Adds the records from the store. Leaves out permissions of users that do not exist, and logs them.
    ///
    /// # Errors
    /// When a pattern does not compile.
    pub fn restore(
        &self,
        users: impl IntoIterator<Item = User>,
        permissions: impl IntoIterator<Item = Permission>,
    ) -> Result<(), AuthError> {
        let mut accounts = self.accounts.write();
        for record in users {
            let name = record.name.clone();
            accounts.insert(name, self.account(record));
        }
        for permission in permissions {
            let (user, vhost) = (permission.user.clone(), permission.vhost.clone());
            let Some(account) = accounts.get_mut(&user) else {
                tracing::error!(%user, %vhost, "ignoring a stored permission: its user does not exist");
                continue;
            };
            let granted = CompiledPermission::compile(permission, Origin::Stored);
            let granted = granted.map_err(|reason| AuthError::Stored {
                permission: format!("permission of user '{user}' in vhost '{vhost}'"),
                reason,
            })?;
            account.permissions.insert(vhost, granted);
        }
        self.changed();
        Ok(())
    }

    /// Adds a user without permissions.
    ///
    /// # Errors
    /// When the user already exists, or its name is empty or too long.
    pub fn add_user(
        &self,
        name: &str,
        password: PasswordHash,
        tags: &[String],
    ) -> Result<Change, AuthError> {
        if name.is_empty() {
            return Err(AuthError::EmptyName);
        }
        check_length("name of the user", name)?;
        let mut accounts = self.accounts.write();
        let Entry::Vacant(place) = accounts.entry(name.to_owned()) else {
            return Err(AuthError::UserExists(name.to_owned()));
        };
        let record = User {
            name: name.to_owned(),
            password,
            tags: tags.to_vec(),
            limits: UserLimits::default(),
        };
        place.insert(self.account(record.clone()));
        self.changed();
        Ok(Change::PutUser(record))
    }

    /// Deletes a user and all its permissions, and returns its account. The caller closes its connections,
    /// which have no permissions any more.
    ///
    /// # Errors
    /// When the user does not exist.
    pub fn delete_user(&self, name: &str) -> Result<(AccountId, Vec<Change>), AuthError> {
        let mut accounts = self.accounts.write();
        let account = accounts
            .remove(name)
            .ok_or_else(|| AuthError::NoSuchUser(name.to_owned()))?;
        self.changed();
        let removed = account.permissions.into_keys();
        let topics = account.topics.values();
        // Permissions first, so that the store never contains a permission without its user.
        let changes = removed
            .map(|vhost| Change::RemovePermission {
                user: name.to_owned(),
                vhost,
            })
            .chain(topics.map(topics::removal))
            .chain([Change::RemoveUser(name.to_owned())])
            .collect();
        Ok((account.id, changes))
    }

    /// Changes the password.
    ///
    /// # Errors
    /// When the user does not exist.
    pub fn change_password(&self, name: &str, hash: PasswordHash) -> Result<Change, AuthError> {
        self.change_user(name, |user| user.password = hash)
    }

    /// Adds a user without permissions, or replaces password and tags of one that exists.
    ///
    /// # Errors
    /// When the name is empty or too long.
    pub fn put_user(
        &self,
        name: &str,
        password: PasswordHash,
        tags: Vec<String>,
    ) -> Result<Change, AuthError> {
        match self.add_user(name, password.clone(), &tags) {
            Err(AuthError::UserExists(_)) => self.change_user(name, |user| {
                user.password = password;
                user.tags = tags;
            }),
            added => added,
        }
    }

    /// Replaces the tags.
    ///
    /// # Errors
    /// When the user does not exist.
    pub fn set_tags(&self, name: &str, tags: &[String]) -> Result<Change, AuthError> {
        self.change_user(name, |user| user.tags = tags.to_vec())
    }

    /// Changes the limits. They apply from now on; existing connections stay open.
    ///
    /// # Errors
    /// When the user does not exist.
    pub fn change_limits(
        &self,
        name: &str,
        change: impl FnOnce(UserLimits) -> UserLimits,
    ) -> Result<Change, AuthError> {
        self.change_user(name, |user| user.limits = change(user.limits))
    }

    /// Returns the limits of a user; no limits if it does not exist.
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
        let before = account.record.password.clone();
        change(&mut account.record);
        if account.record.password != before {
            *account.proof.get_mut() = None;
            account.password_mark = self.next_mark();
        }
        let record = account.record.clone();
        self.changed();
        Ok(Change::PutUser(record))
    }

    /// Grants a permission, replacing the previous one. The caller checks that the virtual host exists.
    ///
    /// # Errors
    /// When the user does not exist, or a pattern does not compile.
    pub fn set_permissions(&self, permission: Permission) -> Result<Change, AuthError> {
        let granted = CompiledPermission::compile(permission, Origin::Written)?;
        let mut accounts = self.accounts.write();
        let account = find(&mut accounts, &granted.record.user)?;
        let record = granted.record.clone();
        account.permissions.insert(record.vhost.clone(), granted);
        self.changed();
        Ok(Change::PutPermission(record))
    }

    /// Removes a permission; returns `None` if there was none.
    ///
    /// # Errors
    /// When the user does not exist.
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

    /// Removes all permissions in a virtual host that is being deleted.
    pub fn forget_vhost(&self, vhost: &str) -> Vec<Change> {
        let mut accounts = self.accounts.write();
        let mut changes = Vec::new();
        for (user, account) in accounts.iter_mut() {
            if account.permissions.remove(vhost).is_some() {
                let (user, vhost) = (user.clone(), vhost.to_owned());
                changes.push(Change::RemovePermission { user, vhost });
            }
            changes.extend(account.remove_topics(vhost, None));
        }
        if !changes.is_empty() {
            self.changed();
        }
        changes
    }

    /// Returns the user with this name.
    pub fn user(&self, name: &str) -> Option<User> {
        self.accounts
            .read()
            .get(name)
            .map(|account| account.record.clone())
    }

    /// Returns all users, in the order of their names.
    pub fn users(&self) -> Vec<User> {
        self.accounts
            .read()
            .values()
            .map(|account| account.record.clone())
            .collect()
    }

    /// Returns all permissions in a virtual host, in the order of the users' names.
    pub fn permissions_in(&self, vhost: &str) -> Vec<Permission> {
        let accounts = self.accounts.read();
        let granted = accounts
            .values()
            .filter_map(|account| account.permissions.get(vhost));
        granted.map(|granted| granted.record.clone()).collect()
    }

    /// Returns a user's permissions, in the order of the virtual hosts' names.
    ///
    /// # Errors
    /// When the user does not exist.
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

/// Returns a name that anybody may have sent, for the log.
fn shown(user: &str) -> String {
    shortened(user, NAME_MAX).into_owned()
}

fn find<'a>(
    accounts: &'a mut BTreeMap<String, Account>,
    name: &str,
) -> Result<&'a mut Account, AuthError> {
    accounts
        .get_mut(name)
        .ok_or_else(|| AuthError::NoSuchUser(name.to_owned()))
}
